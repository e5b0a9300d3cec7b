// The images that training and inference run in.
param location string
param tags object
param names object
param managed bool

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  // checkov:skip=CKV_AZURE_139:closed where azure.network is managed; else open to who has a role
  // checkov:skip=CKV_AZURE_163:scanning is Microsoft Defender's, which is switched on for a subscription
  // checkov:skip=CKV_AZURE_166:a preview; and Azure ML could not use an image that it has just built
  name: names.containerRegistry
  location: location
  // Basic is for learning: it includes 10 GB and pulls at half the speed. A managed network reaches
  // it through a private endpoint, which only Premium has.
  sku: {
    name: managed ? 'Premium' : 'Standard'
  }
  tags: tags
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    networkRuleBypassOptions: 'AzureServices'
    publicNetworkAccess: managed ? 'Disabled' : 'Enabled'
    // A registry with permissions by repository does not honour AcrPull.
    roleAssignmentMode: 'LegacyRegistryPermissions'
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: names.logs
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: registry
  name: 'to-log-analytics'
  properties: {
    logs: [
      {
        category: 'ContainerRegistryLoginEvents'
        enabled: true
      }
      {
        category: 'ContainerRegistryRepositoryEvents'
        enabled: true
      }
    ]
    workspaceId: logs.id
  }
}
