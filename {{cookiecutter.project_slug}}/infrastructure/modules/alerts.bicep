// Whom Azure Monitor mails, and the alert rules about the workspace. Those about its endpoint are in
// a file of their own: an endpoint is made after all this.
param tags object
param names object

@description('What mails and text messages call the project: at most 12 characters.')
param shortName string

@description('The address of the owner. Without one nobody is mailed; the portal shows the alerts.')
param contact string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2026-05-01' existing = {
  name: names.workspace
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: names.eventTopic
}

resource owner 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: names.actionGroup
  location: 'global'
  tags: tags
  properties: {
    emailReceivers: empty(contact) ? [] : [
      {
        emailAddress: contact
        name: 'owner'
        useCommonAlertSchema: true
      }
    ]
    enabled: true
    groupShortName: shortName
  }
}

// The window is longer than the time between two looks: a metric that is silent for days has no
// first look else.
resource failedJobs 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: '${names.workspace}-failed-jobs'
  location: 'global'
  tags: tags
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
          metricName: 'Failed Runs'
          metricNamespace: 'Microsoft.MachineLearningServices/workspaces'
          name: 'failed'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'A job in the workspace has failed. Azure ends a monitor that finds a breach as failed, too.'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [workspace.id]
    severity: 3
    windowSize: 'PT15M'
  }
}

// Event Grid's own destination of alerts takes events of key vaults only. So the alert counts what
// the subscription has let through.
resource breachedMonitor 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: '${names.workspace}-breached-monitor'
  location: 'global'
  tags: tags
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
          dimensions: [
            {
              name: 'EventSubscriptionName'
              operator: 'Include'
              values: [names.breaches]
            }
          ]
          metricName: 'MatchedEventCount'
          metricNamespace: 'Microsoft.EventGrid/systemTopics'
          name: 'breached'
          operator: 'GreaterThan'
          threshold: 0
          timeAggregation: 'Total'
        }
      ]
    }
    description: 'A monitor of Azure ML has found a breach: the data, the predictions or the performance have moved.'
    enabled: true
    evaluationFrequency: 'PT5M'
    scopes: [topic.id]
    severity: 2
    windowSize: 'PT15M'
  }
}
