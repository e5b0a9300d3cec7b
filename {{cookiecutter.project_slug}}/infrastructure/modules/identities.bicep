// Whom machines sign in to Azure as; none of them has a secret.
param location string
param tags object

@description('Of each: kind, name, and federation (issuer, subject) or null.')
param identities array

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [for each in identities: {
  name: each.name
  location: location
  tags: tags
}]

// Azure takes a token of this issuer about this subject for the identity. Both are compared letter
// by letter.
resource credential 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [for (each, i) in identities: if (each.federation != null) {
  parent: identity[i]
  name: 'ci-cd'
  properties: {
    audiences: ['api://AzureADTokenExchange']
    issuer: each.federation.?issuer ?? ''
    subject: each.federation.?subject ?? ''
  }
}]

output identities array = [for (each, i) in identities: {
  name: each.name
  id: identity[i].id
  clientId: identity[i].properties.clientId
  principalId: identity[i].properties.principalId
}]
