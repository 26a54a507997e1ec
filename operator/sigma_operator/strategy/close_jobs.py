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
class Outcome:
    """How such a Job stands; `problem` is empty when all went well."""

    over: bool
    problem: str = ""


class CloseJobs:
    """Makes them and reads how they ended. A Job that can't be made counts as over, with its problem."""

    def __init__(self, api: Api, settings: BotSettings, writer: StatusWriter) -> None:
        self.api = api
        self.settings = settings
        self.writer = writer

    async def recorded(self, resource: Object, revised: str) -> Strategy | None:
        """The content of a revision, from its ConfigMap."""
        own = resource["metadata"]
        config = await self.api.get("ConfigMap", own["namespace"], render.config_name(own["name"], revised))
        if config is None or not owned_by(config, resource):
            return None
        try:
            document = json.loads(config["data"][render.MANIFEST])
            return render.read({**resource, "spec": document["spec"]})
        except (ValueError, KeyError, BadInputError) as error:
            log.warning("%s/%s: revision %s can't be read: %s", own["namespace"], own["name"], revised, error)
            return None

    async def run(self, resource: Object, name: str, revised: str, policy: str) -> Outcome:
        """The Job of this name, made if it is not there, for the account of a revision."""
        try:
            job = await self.api.get("Job", resource["metadata"]["namespace"], name)
            if job is None:
                strategy = await self.recorded(resource, revised)
                if strategy is None:
                    return Outcome(True, f"revision {revised} is gone with its ConfigMap")
                job = await self.api.apply(render.close_job(resource, strategy, self.settings, policy, name))
        except ApiError as error:
            if error.code != 403:  # a namespace that is being deleted takes no new objects
                raise
            return Outcome(True, str(error))
        if not owned_by(job, resource):
            return Outcome(True, f"the Job {name} is not of this Strategy")
        states = {c["type"]: c for c in job.get("status", {}).get("conditions", []) if c["status"] == "True"}
        if "Failed" in states:
            return Outcome(True, str(states["Failed"].get("message", "")) or "the Job failed")
        return Outcome("Complete" in states)
