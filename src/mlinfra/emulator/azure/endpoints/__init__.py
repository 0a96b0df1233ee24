"""Online endpoints of Azure Machine Learning and their managed deployments, over real servers of the host."""
