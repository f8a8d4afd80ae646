"""The command line. Results go to stdout, everything else to stderr; exit 0 done, 1 some inputs failed, 2 usage."""

import typer

from lumbar.cli import batch, data, desk, making, pacs, reading, scoring

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Read lateral lumbar radiographs: corners, slip, angles, stability. Research use only; not a medical device.",
)
for command in (
    reading.read,
    reading.assess,
    reading.criteria,
    reading.demo,
    batch.batch,
    pacs.measure,
    pacs.listen,
    pacs.pull,
    making.synthesise,
    making.train,
    scoring.evaluate,
    scoring.compare,
    scoring.calibrate,
    making.export,
    making.quantise,
    desk.serve,
    desk.agreement,
):
    app.command()(command)
app.add_typer(data.app, name="dataset")


def main() -> None:
    """Entry point of `lumbar`."""
    app()
