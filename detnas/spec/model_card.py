"""What only the owner of a detector can state in its model card."""

from typing import Annotated

from pydantic import Field

from detnas.schema import Schema, added
from detnas.spec.patterns import HUB_LICENSE, HUB_REPOSITORY

HubLicense = Annotated[str, Field(pattern=HUB_LICENSE, max_length=64)]
HubDataset = Annotated[str, Field(pattern=HUB_REPOSITORY, max_length=96)]


class CardSettings(Schema):
    """What the exported detector's model card states."""

    license: HubLicense | None = added(
        1,
        description="Licence of the exported detector, an identifier "
        "of the Hugging Face Hub, such as apache-2.0, or other. Default: not stated.",
    )
    datasets: Annotated[tuple[HubDataset, ...], Field(max_length=16)] = added(
        1,
        (),
        description="Names of the data sets on the Hugging Face Hub, such as "
        "detection-datasets/coco.",
    )
