import numpy as np
import pytest

from guardrail.inference import ModelStore
from tests.inference.golden.make import FILE, NAMES, outputs

pytestmark = pytest.mark.models


@pytest.mark.parametrize("name", NAMES)
def test_a_network_gives_what_it_gave(models: ModelStore, name: str) -> None:
    with np.load(FILE, allow_pickle=False) as stored:
        found = outputs(models, name)
        assert found
        for at, item in enumerate(found):
            wanted = stored[f"{name}/{at}"]
            # int8 kernels differ a little between processors.
            scale = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(item, wanted, atol=0.03 * scale)


def test_sessions_are_one_a_model_and_quiet_about_threads(models: ModelStore) -> None:
    assert models.session("yunet") is models.session("yunet")
    assert models.session("yunet").providers == ("CPUExecutionProvider",)
    assert models.digest("yunet").startswith("sha256:")
