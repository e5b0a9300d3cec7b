// The data that models are made of, apart from what the workspace itself stores.
param location string
param tags object
param names object
param containers array
param managed bool
param allowedAddresses array

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  // checkov:skip=CKV_AZURE_35:closed where azure.network is managed; else open to who has a role
  // checkov:skip=CKV_AZURE_43:the name is made in main.bicep, as Azure's rule wants it
  // checkov:skip=CKV_AZURE_59:as CKV_AZURE_35; no container is public
  // checkov:skip=CKV_AZURE_206:not every region has more; see sku
  name: names.dataStorage
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
    // A key would open all containers to whoever holds it: here only roles do.
    allowSharedKeyAccess: false
    // Folders with rights of their own, renamed in one step. Cannot be changed later, and a
    // workspace's own account must not have it: so the data have an account of their own.
    isHnsEnabled: true
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'AzureServices'
      // Data engineers bring data from outside the managed network.
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

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = [for each in containers: {
  parent: blobs
  name: each
  properties: {
    publicAccess: 'None'
  }
}]

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: names.logs
}

// Reads too: who looked at production data must show.
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
        category: 'StorageRead'
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
