// The Azure ML workspace, its datastores, and what its managed network lets through.
param location string
param tags object
param names object
param managed bool

@description('The names of hosts outside Azure that the machines may reach, where the network is managed.')
param allowedHosts array
param computeName string
param containers array

@description('Of each role on the resource group that the workspace needs: id.')
param networkRoles array

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: names.insights
}

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: names.logs
}

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: names.storage
}

resource data 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: names.dataStorage
}

resource keyVault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: names.keyVault
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: names.containerRegistry
}

// Azure ML gives the workspace's identity its roles on the four resources that it names.
resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' = {
  // checkov:skip=CKV_AZURE_243:a private endpoint needs a network of yours: see the README
  name: names.workspace
  location: location
  kind: 'Default'
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    applicationInsights: insights.id
    containerRegistry: registry.id
    // A registry that is closed to the internet is closed to the service that else builds images.
    imageBuildCompute: managed ? computeName : null
    keyVault: keyVault.id
    // Once it is managed, Azure does not let it go back.
    managedNetwork: {
      isolationMode: managed ? 'AllowOnlyApprovedOutbound' : 'Disabled'
    }
    // Reached over the internet, by who has a role: the managed network is about what its machines
    // reach, and says nothing about who reaches the workspace.
    publicNetworkAccess: 'Enabled'
    storageAccount: storage.id
  }
}

resource datastore 'Microsoft.MachineLearningServices/workspaces/datastores@2026-05-01' = [for each in containers: {
  parent: workspace
  name: each
  properties: {
    accountName: data.name
    containerName: each
    // None: whoever reads signs in as who they are.
    credentials: {
      credentialsType: 'None'
    }
    datastoreType: 'AzureBlob'
    endpoint: environment().suffixes.storage
    protocol: 'https'
    resourceGroup: resourceGroup().name
    serviceDataAccessAuthIdentity: 'None'
    subscriptionId: subscription().subscriptionId
  }
}]

resource approval 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for each in networkRoles: {
  name: guid(resourceGroup().id, workspace.id, each.id)
  properties: {
    principalId: workspace.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', each.id)
  }
}]

resource toData 'Microsoft.MachineLearningServices/workspaces/outboundRules@2026-05-01' = if (managed) {
  parent: workspace
  name: 'data'
  properties: {
    category: 'UserDefined'
    destination: {
      serviceResourceId: data.id
      sparkEnabled: true
      subresourceTarget: 'blob'
    }
    type: 'PrivateEndpoint'
  }
  dependsOn: [
    approval
  ]
}

// Where images get their Python packages, say. Rules by name make Azure ML start an Azure Firewall.
var hosts = managed ? allowedHosts : []

@batchSize(1)
resource toHosts 'Microsoft.MachineLearningServices/workspaces/outboundRules@2026-05-01' = [for each in hosts: {
  parent: workspace
  name: replace(each, '.', '-')
  properties: {
    category: 'UserDefined'
    destination: each
    type: 'FQDN'
  }
  dependsOn: [
    toData
  ]
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'to-log-analytics'
  properties: {
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    workspaceId: logs.id
  }
}
