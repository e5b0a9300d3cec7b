"""What runs inside a deployment: requests or files in, the contract's check, predictions out."""
