"""What things are and what should happen next: no clock, disk, process or thread in here."""
