"""Studies: a protocol, equal search for every arm, fresh seeds for the test, an analysis."""

from fgmanifolds.experiments.study.arm import Arm, preset_arms
from fgmanifolds.experiments.study.protocol import Protocol, read_protocol
from fgmanifolds.experiments.study.worker import run_study

__all__ = ["Arm", "Protocol", "preset_arms", "read_protocol", "run_study"]
