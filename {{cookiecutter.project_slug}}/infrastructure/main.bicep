// What one environment needs in Azure: the Azure ML workspace, what it depends on, and its cluster.
targetScope = 'resourceGroup'

@description('The content of environments/<name>.yml.')
param settings object

var location = settings.azure.location

// The storage account, the key vault and the registry share one name. It must be globally unique,
// and fits the shortest limit, 24 characters: a prefix of at most 11, and a hash of 13.
var uniqueName = '${settings.azure.name_prefix}${uniqueString(resourceGroup().id)}'

var tags = {
  model: settings.model
  environment: settings.name
  team: settings.owner.team
  contact: settings.owner.contact
}

// Built-in roles: their ids are the same in every tenant.
var storageBlobDataContributor = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
)
var acrPull = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '7f951dda-4ed3-4680-a7ca-43fe172d538d'
)

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: 'log-${uniqueName}'
  location: location
  tags: tags
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${uniqueName}'
  location: location
  kind: 'web'
  tags: tags
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
  }
}

resource storage 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: uniqueName
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
    supportsHttpsTrafficOnly: true
  }
}

resource keyVault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: uniqueName
  location: location
  tags: tags
  properties: {
    // Cannot be taken back: a deleted vault keeps its name until its retention (90 days) is over.
    enablePurgeProtection: true
    enableRbacAuthorization: true
    enableSoftDelete: true
    sku: {
      family: 'A'
      name: 'standard'
    }
    tenantId: subscription().tenantId
  }
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: uniqueName
  location: location
  // Basic is for learning: it includes 10 GB and pulls at half the speed.
  sku: {
    name: 'Standard'
  }
  tags: tags
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    // A registry with permissions by repository does not honour AcrPull.
    roleAssignmentMode: 'LegacyRegistryPermissions'
  }
}

// Azure ML gives the workspace's identity its roles on the four resources that it names.
resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' = {
  name: settings.azure.workspace
  location: location
  kind: 'Default'
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    applicationInsights: insights.id
    containerRegistry: registry.id
    keyVault: keyVault.id
    // Reached over the internet, by who has a role.
    publicNetworkAccess: 'Enabled'
    storageAccount: storage.id
  }
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2026-05-01' = {
  parent: workspace
  name: settings.azure.compute.name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        maxNodeCount: settings.azure.compute.max_instances
        minNodeCount: 0
        // Long enough for the next step of a pipeline to find the node warm.
        nodeIdleTimeBeforeScaleDown: 'PT5M'
      }
      vmPriority: 'Dedicated'
      vmSize: settings.azure.compute.size
    }
  }
}

// The names of role assignments are made from ids that are known before anything is created: the
// same deployment again finds its assignments. `principalType` lets Azure wait for the identity.
resource clusterReadsAndWritesData 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: storage
  name: guid(storage.id, cluster.id, storageBlobDataContributor)
  properties: {
    principalId: cluster.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: storageBlobDataContributor
  }
}

// On the resource group, not on the registry: there Azure ML itself gives a new cluster AcrPull,
// and Azure refuses the same role, identity and scope under a second name (RoleAssignmentExists).
resource clusterPullsImages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, cluster.id, acrPull)
  properties: {
    principalId: cluster.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: acrPull
  }
}

output workspaceName string = workspace.name
output storageAccountName string = storage.name
output keyVaultName string = keyVault.name
output containerRegistryLoginServer string = registry.properties.loginServer
