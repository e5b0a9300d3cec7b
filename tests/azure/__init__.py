"""What is sent to Azure, against Azure's public specifications."""
