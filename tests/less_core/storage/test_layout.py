"""Places of a store that are not inside it."""

from pathlib import Path

from less_core.storage.layout import trainer_folder


def test_trainings_of_a_local_store_are_kept_in_it() -> None:
    assert trainer_folder("/data/store/warmups/0a") == Path("/data/store/warmups/0a/trainer")


def test_the_same_training_for_two_remote_stores_is_kept_in_two_local_folders() -> None:
    folders = {trainer_folder(f"s3://{bucket}/store/warmups/0a") for bucket in ("one", "other")}
    assert len(folders) == 2
    assert all("://" not in str(folder) for folder in folders)
