"""What every request of Azure Resource Manager and of the services beside it passes."""
