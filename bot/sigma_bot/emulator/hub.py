"""Where events meet the sockets that want them, and the faults that spoil them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from sigma_bot.emulator.faults import Fault, FaultScript
from sigma_bot.emulator.http import WebSocketSession

Frame = str | bytes


class Hub:
    """The open sockets of one emulator."""

    def __init__(self) -> None:
        self.sockets: list[WebSocketSession] = []
        self.script = FaultScript()
        self._swapped: list[Callable[[], None]] = []

    def publish(
        self, name: str, wants: Callable[[WebSocketSession], bool], frame: Callable[[WebSocketSession], Frame]
    ) -> None:
        """Send an event to every socket that wants it, unless a fault says otherwise. An event nobody wants
        meets no fault."""
        targets = [s for s in self.sockets if wants(s)]
        if not targets:
            return
        frames = [(s, frame(s)) for s in targets]
        faults = self.script.take(name)
        if not faults:
            self._send(frames)
        for fault in faults:
            self._spoil(fault, frames)
            fault.reached.set()

    def _send(self, frames: list[tuple[WebSocketSession, Frame]]) -> None:
        _hand_over(frames)
        late, self._swapped = self._swapped, []
        for send in late:
            send()

    def _spoil(self, fault: Fault, frames: list[tuple[WebSocketSession, Frame]]) -> None:
        match fault.action:
            case "duplicate":
                self._send(frames + frames)
            case "swap":
                self._swapped.append(partial(_hand_over, frames))
            case "answer":
                self._send([(s, fault.body) for s, _ in frames])
            case "delay":
                asyncio.get_running_loop().call_later(fault.seconds, self._send, frames)
            case "hold":
                fault.held.append(lambda: self._send(frames))
            case "cut":
                for socket, _ in frames:
                    socket.cut()
            case "silence":
                for socket, _ in frames:
                    socket.silent = True


def _hand_over(frames: list[tuple[WebSocketSession, Frame]]) -> None:
    for socket, frame in frames:
        socket.send(frame)
