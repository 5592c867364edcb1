"""The flows, each a DAG that reads on one screen, and the command line."""
