"""The process that a notebook runs in."""

import os
import sys
import tempfile
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from workflow_scripts.base.errors import InputError


class SocketKernelManager(AsyncKernelManager):
    """Starts kernels of this very interpreter, whatever kernels are registered, and talks to them over Unix sockets.

    TCP ports are chosen before they are taken, so kernels that start at the same time sometimes choose the same one.
    """

    def __init__(self, **settings):
        super().__init__(**settings)
        self._folder = tempfile.TemporaryDirectory(prefix="kernel-")
        if len(os.fsencode(self._folder.name)) > 80:  # a socket's whole path may have 107 bytes
            raise InputError(f"{tempfile.gettempdir()} is too long a path for sockets: set TMPDIR to a shorter one")
        self.transport = "ipc"
        self.connection_file = str(Path(self._folder.name) / "kernel.json")
        self._kernel_spec = KernelSpec(
            argv=[
                sys.executable,
                "-m",
                "workflow_scripts.runtime.warm",
                "kernel",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
                "--HistoryManager.enabled=False",
            ],
            display_name="Python 3",
            language="python",
        )

    async def _async_interrupt_kernel(self) -> None:
        """Nothing: a notebook runs to its end, and interrupting its idle kernel only puts an error into the log."""

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if not restart:
            self._folder.cleanup()
