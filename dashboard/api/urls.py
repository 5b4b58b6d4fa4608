"""Addresses for watched servers, programs, OFREP clients and supervisors. Included at the root."""

from django.urls import URLPattern, URLResolver, path

from dashboard.api import (
    definitions,
    deploys,
    events,
    flags,
    health,
    metrics,
    ofrep,
    openapi,
    race_checks,
    reports,
    rollback,
    rollouts,
)

programs: list[URLPattern | URLResolver] = [
    path("api/v1/openapi.json", openapi.schema, name="openapi"),
    path("api/v1/definitions", definitions.definitions, name="definitions"),
    path("api/v1/definitions/stream", events.definitions_stream, name="definitions_stream"),
    path("api/v1/servers/report", reports.report, name="server_report"),
    path("ofrep/v1/evaluate/flags", ofrep.evaluate_flags, name="ofrep_bulk"),
    path("ofrep/v1/evaluate/flags/<path:key>", ofrep.evaluate_flag, name="ofrep_single"),
    path("ofrep/v1/events", events.stream, name="ofrep_events"),
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
]
"""Answered on the short way (`dashboard.api.short_way`): coroutines that ask no database and know no session."""

urlpatterns: list[URLPattern | URLResolver] = [
    *programs,
    path("metrics", metrics.metrics, name="metrics"),
    path("api/v1/targets/<slug:slug>/race-checks", race_checks.start, name="api_race_checks"),
    path("api/v1/targets/<slug:slug>/race-checks/<int:number>", race_checks.read, name="api_race_check"),
    path("api/v1/targets/<slug:slug>/race-checks/<int:number>/cancel", race_checks.cancel, name="api_race_cancel"),
    path("api/v1/deploys", deploys.deploys, name="api_deploys"),
    path("api/v1/environments", flags.environments, name="api_environments"),
    path("api/v1/environments/<slug:environment>", flags.environment, name="api_environment"),
    path("api/v1/environments/<slug:environment>/flags", flags.flags, name="api_flags"),
    path("api/v1/environments/<slug:environment>/flags/<str:key>/kill", flags.kill, name="api_kill"),
    path("api/v1/environments/<slug:environment>/flags/<str:key>/lift", flags.lift, name="api_lift"),
    path("api/v1/environments/<slug:environment>/flags/<str:key>/ramp", rollouts.ramp, name="api_ramp"),
    path("api/v1/environments/<slug:environment>/flags/<str:key>/ramp/<slug:verb>", rollouts.move, name="api_ramp_do"),
    path("api/v1/environments/<slug:environment>/promotion", rollouts.promotion, name="api_promotion"),
    path("api/v1/environments/<slug:environment>/versions", flags.versions, name="api_versions"),
    path("api/v1/environments/<slug:environment>/versions/<int:number>", flags.version, name="api_version"),
    path("api/v1/environments/<slug:environment>/versions/<int:number>/revert", flags.revert, name="api_revert"),
    path("api/v1/environments/<slug:environment>/versions/<int:number>/known-good", flags.known_good, name="api_good"),
    path("api/v1/environments/<slug:environment>/revisions", flags.revisions, name="api_revisions"),
    path("api/v1/environments/<slug:environment>/rollback", rollback.plans, name="api_plans"),
    path("api/v1/environments/<slug:environment>/rollback/<slug:plan>", rollback.plan, name="api_plan"),
    path("api/v1/environments/<slug:environment>/rollback/<slug:plan>/drill", rollback.drill, name="api_drill"),
]
