# What happens as the workflow starts and ends.
#
# REQUIRED: common.smk, resources.smk. A workflow that uses this one as a module has handlers of its own.

import contextlib

from snakemake.logging import logger

from workflow_scripts.base.files import write_text
from workflow_scripts.bookkeeping.summary import summary
from workflow_scripts.runtime.job_lines import print_job_lines, show_time_left

# For fewer jobs a process that imports everything costs as much as it saves; for 4 figures 13 s of CPU in place of 22.
WORTH_WARMING = 4

# Jobs that Snakemake starts in so many seconds, unless --max-jobs-per-timespan says otherwise.
USUAL_LIMIT = (100, 1)

# What lasts as long as the workflow runs.
LASTING = contextlib.ExitStack()


def warm_packages(rules: set[str]) -> tuple[str, ...]:
    """What the jobs of these rules import."""
    language = warm.LANGUAGE if rules & {"translation", "answers"} else ()
    return (*(() if PATHS.archived else warm.COMPUTING), *warm.DRAWING, *language)


def lift_usual_limit(scheduler) -> None:
    """Limit the jobs of one machine by its cores alone.

    To see whether it may start more jobs Snakemake 9 wakes up once a second for each that it has ever started, as long as
    others wait: after 300 jobs 300 times a second.
    """
    limit = scheduler.job_rate_limiter
    if limit is not None and (limit.max_jobs, limit.timespan) == USUAL_LIMIT:
        scheduler.job_rate_limiter = None


def write_run_groups(ids) -> None:
    """Tell the trainings which runs of this invocation they may do in one process."""
    wanted = set(ids)
    groups = [[PLAN.runs[id].job.document for id in group if id in wanted] for group in PLAN.run_groups()]
    try:
        write_text(PATHS.run_groups(SCALE), canonical([group for group in groups if len(group) > 1]))
    except OSError as error:  # it is the first file that is written there
        raise WorkflowError(
            f"{PATHS.results} cannot be written ({error.strerror}); make room or get the right to, or name another "
            "place: --config results=PLACE"
        ) from None


def end() -> None:
    """End what lasts, and say what came of it."""
    LASTING.close()
    wildcards = [job.wildcards_dict for job in workflow.dag.jobs if job.rule.name in ("figure", "table")]
    artifacts = [PLAN.artifacts[f"{each['paper']}_{each['artifact']}"] for each in wildcards]
    if artifacts:
        print(summary(PLAN, artifacts), file=sys.stderr)


onstart:
    jobs = list(workflow.dag.needrun_jobs())
    if not workflow.output_settings.verbose:
        print_job_lines(logger.handlers, len(jobs))
    show_time_left(workflow.logger_manager.get_log_handlers())
    if not PATHS.archived:
        write_run_groups(job.wildcards.id for job in jobs if job.rule.name == "train")
    if ON_THIS_MACHINE:
        lift_usual_limit(workflow.scheduler)
    if ON_THIS_MACHINE and len(jobs) >= WORTH_WARMING:
        LASTING.enter_context(warm.started(warm_packages({job.rule.name for job in jobs})))


onsuccess:
    end()


onerror:
    end()
