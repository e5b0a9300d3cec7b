// The secrets of the workspace's connections and datastores.
param location string
param tags object
param names object
param managed bool

resource keyVault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  // checkov:skip=CKV_AZURE_109:closed where azure.network is managed; else open to who has a role
  name: names.keyVault
  location: location
  tags: tags
  properties: {
    // Cannot be taken back: a deleted vault keeps its name until its retention (90 days) is over.
    enablePurgeProtection: true
    enableRbacAuthorization: true
    enableSoftDelete: true
    networkAcls: {
      // Azure ML is one of these services, and reaches a closed vault.
      bypass: 'AzureServices'
      defaultAction: managed ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: managed ? 'Disabled' : 'Enabled'
    sku: {
      family: 'A'
      name: 'standard'
    }
    tenantId: subscription().tenantId
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: names.logs
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: keyVault
  name: 'to-log-analytics'
  properties: {
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
    workspaceId: logs.id
  }
}
