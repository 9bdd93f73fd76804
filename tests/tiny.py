"""The config of a run small enough for a test: the point robot, networks of eight units, a dozen updates."""

TINY = """
seed_everything: 3
name: tiny
threads: 1
trainer:
  max_steps: 12
  accelerator: cpu
  val_check_interval: 5
  check_val_every_n_epoch: null
  log_every_n_steps: 1
  enable_progress_bar: false
collector: {every_n_updates: 4, tasks_per_iteration: 2, initial_iterations: 2}
evaluation: {episodes: 2, matches: 2, figures: false}
checkpoint: {every_n_updates: 1}
summary: null
model:
  encoder: {class_path: GaussianProductEncoder, init_args: {latent_dim: 2, hidden: [8]}}
  sac: {actor: {hidden: [8]}, critic: {hidden: [8]}, discount: 0.9}
  optimizers: {default: {lr: 0.01, fused: true}}
data:
  env:
    class_path: PointRobot
    init_args:
      arenas: 4
      tasks: {class_path: GoalTasks, init_args: {train_tasks: 4, validation_tasks: 2, test_tasks: 2}}
  meta_batch: 2
  transitions: 8
  updates_per_epoch: 6
  episodes_per_task: 8
"""
