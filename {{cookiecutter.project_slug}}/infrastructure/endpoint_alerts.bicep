// The alert rules about the endpoint that answers requests, and about the deployment in use.
//
// A deployment of its own, into the resource group: a rule needs what it is about, and the endpoint
// is made after the rest. `mlops workspaces apply` deploys this once there is an endpoint, and again
// where another version is in use: the rules are the same then, and are about the other one.
@description('The workspace that the endpoint lies in.')
param workspaceName string
param endpointName string

@description('The deployment with most of the traffic. Empty: there is none yet.')
param deploymentName string = ''

@description('Who is mailed: made by main.bicep.')
param actionGroupName string

@description('`rollout.p95_ms` of the environment.')
param p95Milliseconds int

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: workspaceName
}

resource endpoint 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2026-05-01' existing = {
  parent: workspace
  name: endpointName
}

resource inUse 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments@2026-05-01' existing = {
  parent: endpoint
  name: deploymentName
}

resource owner 'Microsoft.Insights/actionGroups@2023-01-01' existing = {
  name: actionGroupName
}

// Azure gives averages of these metrics only; minutes without a request count for nothing.
var aboutEndpoint = [
  {
    name: 'errors'
    description: 'The endpoint has answered requests with 5xx: the model or its machines fail.'
    severity: 1
    window: 'PT5M'
    metric: 'RequestsPerMinute'
    class: ['5xx']
    above: 0
  }
  {
    // Single wrong requests are the clients' own affair.
    name: 'refusals'
    description: 'The endpoint refuses more than 10 requests per minute with 4xx: a client sends what the contract does not allow, or more than the machines can take.'
    severity: 3
    window: 'PT15M'
    metric: 'RequestsPerMinute'
    class: ['4xx']
    above: 10
  }
  {
    name: 'latency'
    description: 'The endpoint is slower than rollout.p95_ms allows: look at CPU and memory, then at the number of machines.'
    severity: 2
    window: 'PT15M'
    metric: 'RequestLatency_P95'
    class: []
    above: p95Milliseconds
  }
]
var aboutDeployment = [
  {
    name: 'cpu'
    description: 'The machines of the deployment in use have been at more than 90 % of their CPU for a quarter of an hour.'
    severity: 3
    window: 'PT15M'
    metric: 'CpuUtilizationPercentage'
    class: []
    above: 90
  }
  {
    name: 'memory'
    description: 'The machines of the deployment in use have been at more than 90 % of their memory for a quarter of an hour.'
    severity: 2
    window: 'PT15M'
    metric: 'CpuMemoryUtilizationPercentage'
    class: []
    above: 90
  }
]
var endpointType = 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints'
var rules = concat(
  map(aboutEndpoint, each => union(each, { about: endpoint.id, type: endpointType })),
  empty(deploymentName)
    ? []
    : map(aboutDeployment, each => union(each, { about: inUse.id, type: '${endpointType}/deployments' }))
)

resource rule 'Microsoft.Insights/metricAlerts@2026-01-01' = [for each in rules: {
  name: '${endpointName}-${each.name}'
  location: 'global'
  tags: resourceGroup().tags
  properties: {
    actions: [
      {
        actionGroupId: owner.id
      }
    ]
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          dimensions: empty(each.class) ? [] : [
            {
              name: 'statusCodeClass'
              operator: 'Include'
              values: each.class
            }
          ]
          metricName: each.metric
          metricNamespace: each.type
          name: each.name
          operator: 'GreaterThan'
          threshold: each.above
          timeAggregation: 'Average'
        }
      ]
    }
    description: each.description
    enabled: true
    evaluationFrequency: 'PT1M'
    scopes: [each.about]
    severity: each.severity
    windowSize: each.window
  }
}]
