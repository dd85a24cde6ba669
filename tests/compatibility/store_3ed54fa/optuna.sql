BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'old-study');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'definition','"{\"seed\": 11, \"data.dataset\": \"chestmnist\", \"data.classes\": [\"cardiomegaly\", \"pneumothorax\"], \"data.source_size\": 28, \"data.image_size\": 32, \"data.path\": \"{folder}/chest.npz\", \"data.sampling\": \"all\", \"data.folds\": null, \"data.fold\": 0, \"data.drop_duplicates\": false, \"data.split_seed\": null, \"model.name\": \"timm:test_efficientnet\", \"model.weights\": \"none\", \"model.stem\": \"mean\", \"model.hidden\": [], \"model.dropout\": 0.5, \"model.pooling\": \"avg\", \"model.attention\": \"none\", \"model.drop_path\": null, \"augment.hflip\": 0.5, \"augment.rotation\": 0.0, \"augment.shift\": 0.0, \"augment.scale\": 0.0, \"augment.brightness\": 0.0, \"augment.contrast\": 0.0, \"augment.blur\": 0.0, \"augment.noise\": 0.0, \"augment.erasing\": 0.0, \"augment.policy\": null, \"augment.mixup\": 0.0, \"augment.cutmix\": 0.0, \"loss.name\": \"bce\", \"loss.focal_gamma\": null, \"loss.pos_weight\": null, \"loss.label_smoothing\": 0.0, \"loss.distill_weight\": 0.0, \"loss.distill_temperature\": 2.0, \"optimizer.name\": \"adamw\", \"optimizer.momentum\": null, \"optimizer.weight_decay\": 0.01, \"optimizer.sam_rho\": 0.0, \"optimizer.batch_size\": 16, \"optimizer.accumulation\": 1, \"optimizer.clip_norm\": 1.0, \"optimizer.precision\": \"auto\", \"stage1.epochs\": 3, \"stage1.schedule\": \"constant\", \"stage1.warmup_epochs\": 0.0, \"stage1.patience\": null, \"stage1.ema\": 0.0, \"stage2.epochs\": 0, \"stage2.lr\": 0.0001, \"stage2.schedule\": \"constant\", \"stage2.warmup_epochs\": 0.0, \"stage2.patience\": 40, \"stage2.ema\": 0.0, \"stage2.lr_decay\": 1.0, \"stage2.batchnorm\": \"learn\", \"stage2.unfreeze_from\": [0], \"stage2.resolutions\": null, \"evaluation.metric\": \"val_accuracy\", \"evaluation.threshold_low\": 0.3, \"evaluation.threshold_high\": 0.7, \"evaluation.threshold_step\": 0.01, \"evaluation.folds\": 5, \"study.sampler\": \"grid\", \"study.pruner\": \"none\", \"study.budget\": \"epoch\", \"study.resampling\": \"holdout\", \"study.folds\": null, \"study.metric\": \"val_auc\", \"study.direction\": \"maximize\", \"study.also\": [], \"search.stage1.lr\": {\"low\": null, \"high\": null, \"log\": false, \"step\": null, \"choices\": [0.001, 0.003, 0.01, 0.03], \"when\": {}}}"');
INSERT INTO "study_user_attributes" VALUES(2,1,'max_retries','3');
INSERT INTO "study_user_attributes" VALUES(3,1,'run_id','"e588d0c13666448ab7cc5adea11facb0"');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,6.32411067193675902053e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,0.616600790513834,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,0.616600790513834,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,4.58498023715415037315e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,2,5.17786561264822142724e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,3,5.57312252964426879664e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(7,3,1,4.03162055335968383396e-01,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'stage1.lr',3.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.001, 0.003, 0.01, 0.03]}}');
INSERT INTO "trial_params" VALUES(2,2,'stage1.lr',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.001, 0.003, 0.01, 0.03]}}');
INSERT INTO "trial_params" VALUES(3,3,'stage1.lr',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.001, 0.003, 0.01, 0.03]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'fixed_params','{"stage1.lr": 0.03}');
INSERT INTO "trial_system_attributes" VALUES(2,2,'fixed_params','{"stage1.lr": 0.003}');
INSERT INTO "trial_system_attributes" VALUES(3,3,'fixed_params','{"stage1.lr": 0.001}');
INSERT INTO "trial_system_attributes" VALUES(4,4,'fixed_params','{"stage1.lr": 0.01}');
INSERT INTO "trial_system_attributes" VALUES(5,5,'fixed_params','{"stage1.lr": 0.001}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'worker','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78, "beat": 0, "lease": 60.0}');
INSERT INTO "trial_user_attributes" VALUES(2,1,'run_id','"b37895bcb42743c596c4486260495444"');
INSERT INTO "trial_user_attributes" VALUES(3,1,'stage1','{"stage1_epochs_trained": 3.0, "stage1_epochs_reused": 0.0, "saved_seconds": 0.0}');
INSERT INTO "trial_user_attributes" VALUES(4,2,'worker','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78, "beat": 0, "lease": 60.0}');
INSERT INTO "trial_user_attributes" VALUES(5,2,'run_id','"fccff8c3ab46492682f687bf8c9f0d67"');
INSERT INTO "trial_user_attributes" VALUES(6,2,'stage1','{"stage1_epochs_trained": 3.0, "stage1_epochs_reused": 0.0, "saved_seconds": 0.0}');
INSERT INTO "trial_user_attributes" VALUES(7,3,'worker','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78, "beat": 0, "lease": 60.0}');
INSERT INTO "trial_user_attributes" VALUES(8,3,'run_id','"ffcf741ead6143b1a62b8fad97192354"');
INSERT INTO "trial_user_attributes" VALUES(9,5,'retry_of','2');
INSERT INTO "trial_user_attributes" VALUES(10,5,'deaths','0');
INSERT INTO "trial_user_attributes" VALUES(11,5,'run_id','"ffcf741ead6143b1a62b8fad97192354"');
INSERT INTO "trial_user_attributes" VALUES(12,3,'interrupted','true');
INSERT INTO "trial_user_attributes" VALUES(13,3,'reason','"interrupted"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,6.32411067193675902053e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,4.58498023715415037315e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-28 03:21:03.271516','2026-11-28 03:21:08.076740');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-28 03:21:08.177532','2026-11-28 03:21:10.816433');
INSERT INTO "trials" VALUES(3,2,1,'FAIL','2026-11-28 03:21:10.921316','2026-11-28 03:21:11.800268');
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(5,4,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
