DROP TABLE paceline.capacity_plan;
