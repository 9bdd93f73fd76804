"""Inference of the task from experience: context, encoders, beliefs, conditions and auxiliary losses."""
