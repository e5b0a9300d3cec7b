// The cluster that the steps of a pipeline run on.
param location string
param tags object
param workspaceName string
param name string
param identityName string
param size string

@allowed(['dedicated', 'low_priority'])
param tier string
param minInstances int
param maxInstances int
param idleSeconds int

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: workspaceName
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2026-05-01' = {
  parent: workspace
  name: name
  location: location
  // Not of its own: a cluster that is deleted and made again keeps its rights.
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  tags: tags
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        maxNodeCount: maxInstances
        minNodeCount: minInstances
        // Long enough for the next step of a pipeline to find the node warm.
        nodeIdleTimeBeforeScaleDown: 'PT${idleSeconds}S'
      }
      vmPriority: tier == 'low_priority' ? 'LowPriority' : 'Dedicated'
      vmSize: size
    }
  }
}
