//! The card: its disk, its table, its data partition, made whole at every boot.
