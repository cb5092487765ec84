"""What a person sees of `olmv serve`: the address on standard output, everything else on standard error."""

from olmv.cli.views.progress import ProgressView
from olmv.serve.options import ServeListener

__all__ = ["ServeView"]


class ServeView(ProgressView, ServeListener):
    """Shows where the service is."""

    def __init__(self) -> None:
        super().__init__("videos", quiet=False, prefix="note: ")

    def ready(self, address: str) -> None:
        """Print the address of the page."""
        print(address, flush=True)
        self.note("open it in a browser; Ctrl-C ends it")
