"""How good are the predictions: data sets' protocols, figures with intervals, the result folder and its page."""
