DROP TABLE paceline.step_times;
