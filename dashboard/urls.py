"""Every address of the product."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from dashboard.views import (
    audit,
    chart_data,
    flag_edit,
    flags,
    overview,
    policy,
    practice,
    proposals,
    race_checks,
    residents,
    rollback,
    sessions,
    signin,
    target,
    targets_edit,
)

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    # Before the pages of targets: "add" is no slug (dashboard/target_form.py refuses it).
    path("targets/add/", targets_edit.add, name="target_add"),
    path("targets/add/address/", targets_edit.address, name="target_address"),
    path("targets/<slug:slug>/", target.target, name="target"),
    path("targets/<slug:slug>/figures.json", chart_data.figures, name="figures"),
    path("targets/<slug:slug>/residents/", residents.residents, name="residents"),
    path("targets/<slug:slug>/slots.json", chart_data.slots, name="slots"),
    path("targets/<slug:slug>/edit/", targets_edit.edit, name="target_edit"),
    path("targets/<slug:slug>/pause/", targets_edit.pause, name="target_pause"),
    path("targets/<slug:slug>/resume/", targets_edit.resume, name="target_resume"),
    path("targets/<slug:slug>/race-checks/", race_checks.checks, name="race_checks"),
    path("targets/<slug:slug>/race-checks/start/", race_checks.start, name="race_check_start"),
    path("targets/<slug:slug>/race-checks/<int:number>/", race_checks.check, name="race_check"),
    path("targets/<slug:slug>/race-checks/<int:number>/cancel/", race_checks.cancel, name="race_check_cancel"),
    path("flags/", flags.flags, name="flags"),
    # Before the pages of environments: no environment is called like these.
    path("flags/proposals/", proposals.proposals_page, name="proposals"),
    path("flags/proposals/<int:number>/", proposals.proposal, name="proposal"),
    path("flags/proposals/<int:number>/approve/", proposals.approve, name="proposal_approve"),
    path("flags/proposals/<int:number>/reject/", proposals.reject, name="proposal_reject"),
    path("flags/reviews/<int:number>/end/", proposals.end_glass, name="glass_end"),
    path("flags/reviews/<int:number>/close/", proposals.close_review, name="review_close"),
    path("flags/break-glass/<slug:environment_key>/", proposals.break_the_glass, name="break_glass"),
    path("flags/policy/<slug:environment_key>/", policy.policy, name="policy"),
    path("flags/<slug:environment_key>/change/", flags.change, name="change"),
    path("flags/<slug:environment_key>/new-flag/", flag_edit.new, name="flag_new"),
    path("flags/<slug:environment_key>/<str:flag>/edit/", flag_edit.edit, name="flag_edit"),
    path("flags/<slug:environment_key>/<str:flag>/remove/", flag_edit.remove, name="flag_remove"),
    path("flags/<slug:environment_key>/undo/<int:number>/", flags.undo, name="undo"),
    path("flags/<slug:environment_key>/restore/<int:number>/", flags.restore, name="restore"),
    path("flags/<slug:environment_key>/known-good/<int:number>/", flags.known_good, name="known_good"),
    path("flags/<slug:environment_key>/revisions/<int:number>/", flags.revision, name="revision"),
    path("rollback/", rollback.rollback, name="rollback"),
    path("rollback/<slug:environment_key>/<slug:plan_key>/", rollback.run_plan, name="run_plan"),
    path("practice/", practice.practice, name="practice"),
    path("practice/on/", practice.on, name="practice_on"),
    path("practice/<slug:slug>/end/", practice.end, name="practice_end_all"),
    path("practice/<slug:slug>/<slug:name>/", practice.start, name="practice_start"),
    path("practice/<slug:slug>/<slug:name>/end/", practice.end, name="practice_end"),
    path("audit/", audit.audit, name="audit"),
    path("signin/", signin.signin, name="signin"),
    path("signin/<str:token>/", signin.signin_link, name="signin_link"),
    path("sessions/", sessions.sessions, name="sessions"),
    path("sessions/<int:number>/end/", sessions.end, name="session_end"),
    path("sessions/end-others/", sessions.end_others, name="sessions_end_others"),
    path("signout/", signin.signout, name="signout"),
    path("", include("dashboard.api.urls")),
]
if settings.OIDC_ISSUER:
    # /signin/oidc/login/ and /signin/oidc/login/callback/
    urlpatterns.append(path("signin/", include("allauth.socialaccount.providers.openid_connect.urls")))
