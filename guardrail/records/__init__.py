"""What is remembered: decisions without content, protected people, listed fingerprints."""

from guardrail.records.banks import DEFAULT_BANK, Bank
from guardrail.records.decisions import DecisionLog, DecisionRecord
from guardrail.records.fingerprints import FingerprintStore, ListedFingerprint, NewFingerprint
from guardrail.records.names import NamesStore, read_names
from guardrail.records.people import PeopleStore, Person
from guardrail.records.registry import LocalRegistry
from guardrail.records.vault import Vault

__all__ = [
    "DEFAULT_BANK",
    "Bank",
    "DecisionLog",
    "DecisionRecord",
    "FingerprintStore",
    "ListedFingerprint",
    "LocalRegistry",
    "NamesStore",
    "NewFingerprint",
    "PeopleStore",
    "Person",
    "Vault",
    "read_names",
]
