// What watches the environment and tells its owner: alerts, a page that shows how things stand, the
// event of a monitor that found a breach and where it goes, and the budget.
param location string
param tags object
param names object

@description('How names begin, and what makes them unique.')
param prefix string
param uniqueName string

@description('The content of environments/<name>.yml; that of production for a shared workspace.')
param settings object

@description('The contents of the files of all environments that the workspace serves.')
param environments array

@description('The roles that hold here, by who has them.')
param roles object

var contact = tags.contact
var known = union(names, {
  actionGroup: 'ag-${prefix}-${tags.environment}'
  breaches: 'breached-monitors'
  eventTopic: 'egst-${uniqueName}'
  logicApp: 'logic-${uniqueName}'
})

// In production, unless a file says otherwise.
var alerted = !empty(filter(environments, each => each.?monitoring.?alerts ?? (each.name == 'prod')))

// What an event calls; nothing where the monitoring stage looks by itself.
var dispatchUrls = map(
  filter(environments, each => (each.?monitoring.?events ?? 'poll') == 'logic_app'),
  each => each.monitoring.dispatch_url
)
var dispatched = !empty(dispatchUrls)

// The run of a monitor that finds a breach ends as failed, and a tag says why. Other runs have no
// such tag.
var breach = {
  advancedFilters: [
    {
      key: 'data.RunTags.azureml_modelmonitor_threshold_breached'
      operatorType: 'StringContains'
      values: ['has failed due to one or more features violating metric thresholds']
    }
  ]
  includedEventTypes: ['Microsoft.MachineLearningServices.RunStatusChanged']
}

module events 'events.bicep' = if (alerted || dispatched) {
  name: 'events'
  params: {
    location: location
    tags: tags
    names: known
    queueRoles: roles.events
    breach: breach
  }
}

module dispatch 'dispatch.bicep' = if (dispatched) {
  name: 'dispatch'
  params: {
    location: location
    tags: tags
    names: known
    url: first(dispatchUrls) ?? ''
    secretRoles: roles.logic_app
    breach: breach
  }
  dependsOn: [events]
}

module alerts 'alerts.bicep' = if (alerted) {
  name: 'alerts'
  params: {
    tags: tags
    names: known
    shortName: prefix
    contact: contact
  }
  dependsOn: [events]
}

module workbook 'workbook.bicep' = if (alerted) {
  name: 'workbook'
  params: {
    location: location
    tags: tags
    names: known
    title: '${settings.model}, ${tags.environment}'
  }
  dependsOn: [events]
}

module budget 'budget.bicep' = if (settings.azure.?budget != null) {
  name: 'budget'
  params: {
    budget: settings.azure.?budget ?? {}
    contact: contact
  }
}
