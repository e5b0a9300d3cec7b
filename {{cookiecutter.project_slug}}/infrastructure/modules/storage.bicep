// The workspace's own storage account: code, logs, models and what endpoints collect.
param location string
param tags object
param names object
param managed bool
param allowedAddresses array

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  // checkov:skip=CKV_AZURE_35:closed where azure.network is managed; else open to who has a role
  // checkov:skip=CKV_AZURE_43:the name is made in main.bicep, as Azure's rule wants it
  // checkov:skip=CKV_AZURE_59:as CKV_AZURE_35; no container is public
  // checkov:skip=CKV_AZURE_206:not every region has more; see sku
  name: names.storage
  location: location
  // In one data centre: the only redundancy that every region offers.
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  tags: tags
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    // The workspace's own datastores sign in with the account's key. A workspace without keys is
    // a preview that Microsoft does not recommend for production.
    allowSharedKeyAccess: true
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'AzureServices'
      // Who starts a job sends its code here, from outside the managed network.
      defaultAction: managed ? 'Deny' : 'Allow'
      ipRules: [for address in allowedAddresses: {
        value: address
      }]
    }
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' = {
  parent: storage
  name: 'default'
  properties: {
    containerDeleteRetentionPolicy: {
      days: 7
      enabled: true
    }
    deleteRetentionPolicy: {
      days: 7
      enabled: true
    }
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: names.logs
}

// Reads are left out: the machines' own would outnumber all else.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'to-log-analytics'
  properties: {
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
    ]
    workspaceId: logs.id
  }
}
