"""Jobs of the bot's image that cancel orders or close positions where no bot runs."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from sigma_bot.errors import BadInputError
from sigma_bot.spec import Strategy
from sigma_operator.kubernetes.api import Api, ApiError
from sigma_operator.kubernetes.objects import Object, owned_by
from sigma_operator.kubernetes.status_writer import StatusWriter
from sigma_operator.settings import BotSettings
from sigma_operator.strategy import render

log = logging.getLogger("sigma_operator")


@dataclass(frozen=True)
class CloseResult:
    """How such a Job ended, if it has; `problem` is empty when it succeeded."""

    finished: bool
    problem: str = ""


class CloseJobs:
    """Creates them and reads how they ended. A Job that can't be created counts as finished, with its
    problem."""

    def __init__(self, api: Api, settings: BotSettings, writer: StatusWriter) -> None:
        self.api = api
        self.settings = settings
        self.writer = writer

    async def stored_strategy(self, resource: Object, revision: str) -> Strategy | None:
        """The Strategy of a revision, from its ConfigMap; None where it is missing or can't be read."""
        meta = resource["metadata"]
        config = await self.api.get(
            "ConfigMap", meta["namespace"], render.config_name(meta["name"], revision)
        )
        if config is None or not owned_by(config, resource):
            return None
        try:
            document = json.loads(config["data"][render.MANIFEST])
            return render.parse_strategy({**resource, "spec": document["spec"]})
        except (ValueError, KeyError, BadInputError) as error:
            log.warning(
                "%s/%s: revision %s can't be read: %s", meta["namespace"], meta["name"], revision, error
            )
            return None

    async def run(self, resource: Object, name: str, revision: str, policy: str) -> CloseResult:
        """The result of the Job of this name, created if it is missing, for the account of a revision."""
        try:
            job = await self.api.get("Job", resource["metadata"]["namespace"], name)
            if job is None:
                strategy = await self.stored_strategy(resource, revision)
                if strategy is None:
                    return CloseResult(True, f"revision {revision} is gone with its ConfigMap")
                job = await self.api.apply(render.close_job(resource, strategy, self.settings, policy, name))
        except ApiError as error:
            if error.code != 403:  # a namespace that is being deleted takes no new objects
                raise
            return CloseResult(True, str(error))
        if not owned_by(job, resource):
            return CloseResult(True, f"the Job {name} is not of this Strategy")
        states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
        if "Failed" in states:
            return CloseResult(True, str(states["Failed"].get("message", "")) or "the Job failed")
        return CloseResult("Complete" in states)
