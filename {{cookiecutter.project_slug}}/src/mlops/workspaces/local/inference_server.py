"""Starts Azure's inference server for this machine only.

The server listens on all interfaces, which is right inside a container behind Azure's front
end; here the endpoint's key would be no protection, so it listens on the loopback interface.
"""

from azureml_inference_server_http import amlserver

if __name__ == "__main__":
    amlserver.DEFAULT_HOST = "127.0.0.1"
    amlserver.run()
