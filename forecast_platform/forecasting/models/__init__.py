"""Model families in scikit-learn form, and the ensemble that weighs them."""
