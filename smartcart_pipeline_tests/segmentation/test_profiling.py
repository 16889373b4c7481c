import pandas as pd

from smartcart_pipeline.segmentation.profiling import MEASURED, profile_segments, summarise_customers
from smartcart_pipeline_tests.conftest import Frames, to_pandas

FEATURES = pd.DataFrame(
    {
        "customer_id": [1, 2, 3],
        **{name: [1, 2, 6] for name in MEASURED},
        "income": [10.0, 20.0, 60.0],
        "living_with": ["Partner", "Alone", "Partner"],
        "education": ["Graduate", "Graduate", "Undergraduate"],
        "complain": [0, 1, 0],
        "response": [1, 1, 0],
    }
)


def test_a_profile_summarises_the_segments_members(as_frame: Frames):
    clusters = as_frame(pd.DataFrame({"customer_id": [3, 2, 1], "segment_id": ["S02", "S01", "S01"]}))
    result = to_pandas(profile_segments(clusters, as_frame(FEATURES)))

    assert result["segment_id"].tolist() == ["S01", "S02"]
    assert result["customers"].tolist() == [2, 1]
    assert result["mean_income"].tolist() == [15.0, 60.0]
    assert result["median_age"].astype(float).tolist() == [1.5, 6.0]
    assert result["share_living_with_partner"].tolist() == [0.5, 1.0]
    assert result["share_education_undergraduate"].tolist() == [0.0, 1.0]
    assert result["response_rate"].tolist() == [1.0, 0.0]
    assert result["complaint_rate"].tolist() == [0.5, 0.0]


def test_the_whole_base_is_summarised_alike(as_frame: Frames):
    [row] = to_pandas(summarise_customers(as_frame(FEATURES))).to_dict("records")
    assert row["customers"] == 3
    assert row["mean_age"] == 3.0
    assert float(row["median_income"]) == 20.0
    assert row["share_education_graduate"] == 2 / 3
