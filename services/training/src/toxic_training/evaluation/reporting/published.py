"""Published figures of other models, shown next to ours.

Detoxify's figures are from its README (Unitary, 2020): AUC on its own splits of the competition's test sets,
in per cent there. The rows differ from ours, and every place that shows them states that.
"""

SOURCE = "Detoxify's README (Hanu and Unitary, 2020)"

MULTILINGUAL_AUC = {"es": 0.9274, "it": 0.8918, "tr": 0.9719}
"""By language, of Detoxify's `multilingual` (XLM-R base, 278 million parameters)."""

MULTILINGUAL_MEAN_AUC = 0.9211
"""Over the languages of the competition's test set."""

ORIGINAL_AUC = 0.9864
"""Mean over six labels in English, of Detoxify's `original` (BERT base)."""
