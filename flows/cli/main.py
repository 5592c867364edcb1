"""The command line: less-flow run | reselect | compare | sweep | explain | agree | export | plan | store | demo | serve."""

import argparse
import logging
import math
import os
import sys
import warnings
from pathlib import Path

# Read by Prefect when it is imported: nothing is sent home, and a first start on a slow disk is waited for.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "less_core,tasks")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

from flows.server.connection import connect_here
from flows.server.errors import ServerError
from less_core.errors import LessError
from less_core.refs import RunRef

FAILED = 1
WRONG_INPUT = 2


def main(argv: list[str] | None = None) -> int:
    """Run a command and return the exit code: 0 done, 1 failed, 2 the input is at fault."""
    arguments = _parser().parse_args(argv)
    _quiet_libraries()
    try:
        if arguments.command in REPORTING:
            connect_here()
        done = arguments.command(arguments)
    except LessError as error:
        print(f"\nless-flow: {error}", file=sys.stderr)
        return FAILED if isinstance(error, ServerError) else WRONG_INPUT
    except KeyboardInterrupt:
        print("\nless-flow: stopped; the same command goes on where it was", file=sys.stderr)
        return FAILED
    return done or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="less-flow", description="Select the training examples that most help a model on a target task.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, text in (
        ("run", _run, "select; what the store has is not computed again"),
        ("plan", _plan, "say what a run would compute, reuse and cost; runs nothing"),
        ("compare", _compare, "select by several methods, train on each selection, and tell which helps most"),
    ):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("config", metavar="CONFIG.yaml")
        sub.add_argument(
            "--set", action="append", default=[], metavar="key.sub=value", dest="overrides", help="change a setting; may be repeated"
        )
        if name == "plan":
            sub.add_argument("--calibrate", action="store_true", help="load the model and time a few batches for a better estimate")
        sub.set_defaults(command=command)
    sub = commands.add_parser("reselect", help="select again where something changed; only what is new is computed")
    sub.add_argument("selection", metavar="NAME|CONFIG.yaml", help="a selection that was made before, or a configuration file")
    _add_reselect_options(sub)
    sub.set_defaults(command=_reselect)
    sub = commands.add_parser("schedule", help="select again on a schedule; alone: list what is scheduled")
    sub.add_argument("selection", nargs="?", metavar="NAME|CONFIG.yaml", help="a selection that was made before, or a configuration file")
    sub.add_argument("--cron", help='when, as five fields: "0 3 * * *" is three o\'clock every night')
    sub.add_argument("--timezone", default="UTC", help="of the cron line, such as Europe/Berlin; default: UTC")
    sub.add_argument("--on", action="store_true", help="switch its schedules on")
    sub.add_argument("--off", action="store_true", help="switch its schedules off")
    _add_reselect_options(sub)
    sub.set_defaults(command=_schedule)
    sub = commands.add_parser("sweep", help="the same selection with several settings, and how far they agree")
    sub.add_argument("config", metavar="CONFIG.yaml")
    sub.add_argument("variants", nargs="+", metavar="key.sub=value", help="a variant each; several settings in one with spaces between")
    sub.add_argument("--set", action="append", default=[], metavar="key.sub=value", dest="overrides", help="change a setting of all")
    sub.set_defaults(command=_sweep)
    sub = commands.add_parser("explain", help="why an example was selected, or was not")
    sub.add_argument("selection", metavar="NAME[@VERSION]")
    sub.add_argument("example", metavar="EXAMPLE_ID", help="its first digits are enough")
    sub.add_argument("--runs", default="runs", help="where the results are")
    sub.set_defaults(command=_explain)
    sub = commands.add_parser("export", help="a selection in the files of the LESS scripts: scores, their order, the selected rows")
    sub.add_argument("selection", metavar="NAME[@VERSION]")
    sub.add_argument("folder", metavar="FOLDER")
    sub.add_argument("--runs", default="runs", help="where the results are")
    sub.set_defaults(command=_export)
    sub = commands.add_parser("agree", help="overlap and agreement of selections, or of versions of one")
    sub.add_argument("selection", metavar="NAME[@VERSION]")
    sub.add_argument("others", nargs="+", metavar="NAME[@VERSION]", help="what it is compared with")
    sub.add_argument("--runs", default="runs", help="where the results are")
    sub.set_defaults(command=_agree)
    _add_store_commands(commands.add_parser("store", help="look after a store: verify what is in it, delete what no version needs"))
    sub = commands.add_parser("demo", help="the main job on a small model and data made on the spot")
    sub.set_defaults(command=_demo)
    sub = commands.add_parser("serve", help="Prefect server, UI, deployments and a worker, in one command")
    sub.add_argument("--host", default="127.0.0.1", help="address to bind; anyone who reaches it can run flows")
    sub.add_argument("--port", type=int, default=4200, help="port of UI and API; default: 4200")
    sub.add_argument("--results-port", type=int, metavar="PORT", help="port of reports and selected files; default: the next one")
    sub.add_argument("--home", metavar="DIR", help="folder of the server's database and logs; default: $PREFECT_HOME, else .less-flow here")
    sub.set_defaults(command=_serve)
    return parser


def _add_reselect_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--runs", default="runs", help="where the results of named selections are")
    sub.add_argument("--set", action="append", default=[], metavar="key.sub=value", dest="overrides", help="change a setting")
    sub.add_argument("--rewarm", choices=["never", "when_pool_grew_by", "always"], default="never", help="train the warmup again")
    sub.add_argument("--pool-grew-by", type=_above_zero, default=0.5, metavar="SHARE", help="for --rewarm when_pool_grew_by; 0.5 is a half")


def _above_zero(text: str) -> float:
    """Return a number above zero.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, such as 0.5, got {text}")
    return number


def _add_store_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sub = commands.add_parser("verify", help="read all of a store and its results and name what is damaged; changes nothing")
    sub.add_argument("--set-aside", action="store_true", help="rename what is damaged, so that the next run makes it anew")
    sub.set_defaults(command=_store_verify)
    gc = commands.add_parser("gc", help="list what no version of a selection needs; deletes nothing unless told to")
    gc.add_argument("--older-than", type=float, default=7.0, metavar="DAYS", help="leave what changed since then; default: 7")
    gc.add_argument("--keep-versions", type=int, default=0, metavar="N", help="keep the newest N of each selection; default: all")
    gc.add_argument("--delete", action="store_true", help="delete what is listed")
    gc.set_defaults(command=_store_gc)
    for command in (sub, gc):
        command.add_argument("--runs", action="append", default=[], help="where its results are; may be repeated; default: runs")
        command.add_argument("--store", default="store", help="folder or URL; default: store")


def _run(arguments: argparse.Namespace) -> None:
    from flows.select_data import select_data
    from less_core.settings.file import load_settings

    _print_run(select_data(load_settings(arguments.config, arguments.overrides)))


def _reselect(arguments: argparse.Namespace) -> None:
    from flows.reselect import reselect

    run = reselect(
        arguments.selection,
        runs=arguments.runs,
        overrides=arguments.overrides,
        rewarm=arguments.rewarm,
        pool_grew_by=arguments.pool_grew_by,
    )
    if run.unchanged:
        print(run.unchanged)
    _print_run(run)


def _schedule(arguments: argparse.Namespace) -> None:
    from flows.cli.schedule import check_server, print_scheduled, schedule_from_arguments

    check_server()
    if arguments.selection:
        schedule_from_arguments(arguments)
    print_scheduled()


def _agree(arguments: argparse.Namespace) -> None:
    from flows.agree import agree

    for line in agree([arguments.selection, *arguments.others], arguments.runs):
        print(line)


def _compare(arguments: argparse.Namespace) -> None:
    from flows.compare import compare
    from less_core.settings.compare import CompareSettings
    from less_core.settings.file import load_as

    comparison = compare(load_as(CompareSettings, arguments.config, arguments.overrides))
    print(f"table: {comparison.table}, picture: {comparison.picture}")


def _sweep(arguments: argparse.Namespace) -> None:
    from flows.sweep import sweep
    from less_core.settings.file import load_settings

    for line in sweep(load_settings(arguments.config, arguments.overrides), arguments.variants):
        print(line)


def _explain(arguments: argparse.Namespace) -> None:
    from flows.cli.explain import print_explanation
    from tasks.explain import explain_example

    print_explanation(*explain_example.fn(arguments.runs, arguments.selection, arguments.example))


def _export(arguments: argparse.Namespace) -> None:
    from tasks.export import export_selection

    for folder in export_selection.fn(arguments.runs, arguments.selection, arguments.folder):
        print(folder)


def _store_verify(arguments: argparse.Namespace) -> int:
    from flows.cli.store import verify

    runs = arguments.runs or (["runs"] if Path("runs").exists() else [])
    return FAILED if verify(arguments.store, runs, set_aside=arguments.set_aside) else 0


def _store_gc(arguments: argparse.Namespace) -> None:
    from flows.cli.store import collect

    runs = arguments.runs or ["runs"]
    collect(arguments.store, runs, arguments.older_than, arguments.keep_versions, delete=arguments.delete)


def _print_run(run: RunRef) -> None:
    for selection in run.selections:
        print(f"{selection.target}: {selection.selected} examples, {selection.tokens} tokens in {selection.path}")
    print(f"version {run.version}, report: {run.report}")


def _plan(arguments: argparse.Namespace) -> None:
    from flows.cli.plan import print_plan
    from less_core.settings.file import load_settings

    print_plan(load_settings(arguments.config, arguments.overrides), calibrate=arguments.calibrate)


def _demo(arguments: argparse.Namespace) -> None:
    from flows.demo import demo_verdict, prepare_demo
    from flows.select_data import select_data

    run = select_data(prepare_demo())
    print(demo_verdict(run))
    print(f"report: {run.report}")


def _serve(arguments: argparse.Namespace) -> None:
    from flows.server.serve import serve

    serve(arguments.host, arguments.port, arguments.results_port, arguments.home)


def _quiet_libraries() -> None:
    """Keep what libraries say to their own developers off the user's terminal."""
    logging.getLogger("less_core").setLevel(logging.INFO)
    logging.getLogger("tasks").setLevel(logging.INFO)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")


REPORTING = (_run, _reselect, _schedule, _compare, _sweep, _agree, _demo)  # commands that report to a Prefect server


if __name__ == "__main__":
    sys.exit(main())
