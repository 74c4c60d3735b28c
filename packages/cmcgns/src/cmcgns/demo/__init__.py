"""The demo: films projected from real CTs, paired by label with sentences of real reports."""
