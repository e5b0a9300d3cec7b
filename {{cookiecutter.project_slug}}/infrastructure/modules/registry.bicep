// The Azure ML registry: what one environment has tested, another takes from here.
param location string
param tags object
param name string

// The first environment that is deployed makes it; the others, and what is changed in it by hand,
// such as another region, leave it as it is.
@onlyIfNotExists()
resource registry 'Microsoft.MachineLearningServices/registries@2026-05-01' = {
  name: name
  location: location
  identity: {
    type: 'SystemAssigned'
  }
  tags: tags
  properties: {
    publicNetworkAccess: 'Enabled'
    // Azure makes both accounts, in a resource group that it names and manages.
    regionDetails: [
      {
        acrDetails: [
          {
            systemCreatedAcrAccount: {
              acrAccountSku: 'Premium'
            }
          }
        ]
        location: location
        storageAccountDetails: [
          {
            systemCreatedStorageAccount: {
              allowBlobPublicAccess: false
              storageAccountHnsEnabled: false
              storageAccountType: 'Standard_LRS'
            }
          }
        ]
      }
    ]
  }
}
