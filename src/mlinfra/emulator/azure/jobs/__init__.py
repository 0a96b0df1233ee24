"""Azure Machine Learning's command jobs: made, run for real, watched, cancelled and deleted; and their clusters."""
