"""`python -m guardrail`."""

from guardrail.cli import main

main()
