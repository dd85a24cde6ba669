BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('dc11669786a5');
CREATE TABLE "assessments" (
	assessment_id VARCHAR(50) NOT NULL, 
	trace_id VARCHAR(50) NOT NULL, 
	name VARCHAR(250) NOT NULL, 
	assessment_type VARCHAR(20) NOT NULL, 
	value TEXT NOT NULL, 
	error TEXT, 
	created_timestamp BIGINT NOT NULL, 
	last_updated_timestamp BIGINT NOT NULL, 
	source_type VARCHAR(50) NOT NULL, 
	source_id VARCHAR(250), 
	run_id VARCHAR(32), 
	span_id VARCHAR(50), 
	rationale TEXT, 
	overrides VARCHAR(50), 
	valid BOOLEAN NOT NULL, 
	assessment_metadata TEXT, 
	experiment_id INTEGER, 
	trace_timestamp_ms BIGINT, 
	aggregate_value FLOAT, 
	is_numeric_value BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT assessments_pk PRIMARY KEY (assessment_id), 
	CONSTRAINT fk_assessments_trace_id FOREIGN KEY(trace_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE budget_policies (
	budget_policy_id VARCHAR(36) NOT NULL, 
	budget_unit VARCHAR(32) NOT NULL, 
	budget_amount FLOAT NOT NULL, 
	duration_unit VARCHAR(32) NOT NULL, 
	duration_value INTEGER NOT NULL, 
	target_scope VARCHAR(32) NOT NULL, 
	budget_action VARCHAR(32) NOT NULL, 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, target_value VARCHAR(255), 
	CONSTRAINT budget_policies_pk PRIMARY KEY (budget_policy_id)
);
CREATE TABLE "datasets" (
	dataset_uuid VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	digest VARCHAR(36) NOT NULL, 
	dataset_source_type VARCHAR(36) NOT NULL, 
	dataset_source TEXT NOT NULL, 
	dataset_schema TEXT, 
	dataset_profile TEXT, 
	CONSTRAINT dataset_pk PRIMARY KEY (experiment_id, name, digest), 
	CONSTRAINT fk_datasets_experiment_id_experiments FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
INSERT INTO "datasets" VALUES('2a9bf1bbedb14020b7dbf1732c2e5145',1,'chestmnist_train','c81c24349fc3b2ad','local','{"uri": "{folder}/chest.npz"}','{"images": ["uint8", [68, 1, 32, 32]], "labels": ["uint8", [68]]}','{"rows": 68, "classes": {"cardiomegaly": 22, "pneumothorax": 46}}');
INSERT INTO "datasets" VALUES('5e683fdd19a9422fb91c4eeee4de0691',1,'chestmnist_val','50296ba2808682e5','local','{"uri": "{folder}/chest.npz"}','{"images": ["uint8", [34, 1, 32, 32]], "labels": ["uint8", [34]]}','{"rows": 34, "classes": {"cardiomegaly": 11, "pneumothorax": 23}}');
CREATE TABLE endpoint_bindings (
	endpoint_id VARCHAR(36) NOT NULL, 
	resource_type VARCHAR(50) NOT NULL, 
	resource_id VARCHAR(255) NOT NULL, 
	created_at BIGINT NOT NULL, 
	created_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), display_name VARCHAR(255), 
	CONSTRAINT endpoint_bindings_pk PRIMARY KEY (endpoint_id, resource_type, resource_id), 
	CONSTRAINT fk_endpoint_bindings_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES endpoints (endpoint_id) ON DELETE CASCADE
);
CREATE TABLE endpoint_model_mappings (
	mapping_id VARCHAR(36) NOT NULL, 
	endpoint_id VARCHAR(36) NOT NULL, 
	model_definition_id VARCHAR(36) NOT NULL, 
	weight FLOAT NOT NULL, 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, linkage_type VARCHAR(64) DEFAULT 'PRIMARY' NOT NULL, fallback_order INTEGER, 
	CONSTRAINT endpoint_model_mappings_pk PRIMARY KEY (mapping_id), 
	CONSTRAINT fk_endpoint_model_mappings_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES endpoints (endpoint_id) ON DELETE CASCADE, 
	CONSTRAINT fk_endpoint_model_mappings_model_definition_id FOREIGN KEY(model_definition_id) REFERENCES model_definitions (model_definition_id)
);
CREATE TABLE endpoint_tags (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	endpoint_id VARCHAR(36) NOT NULL, 
	CONSTRAINT endpoint_tag_pk PRIMARY KEY ("key", endpoint_id), 
	CONSTRAINT fk_endpoint_tags_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES endpoints (endpoint_id) ON DELETE CASCADE
);
CREATE TABLE "endpoints" (
	endpoint_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255), 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	routing_strategy VARCHAR(64), 
	fallback_config_json TEXT, 
	experiment_id INTEGER, 
	usage_tracking BOOLEAN DEFAULT '0' NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT endpoints_pk PRIMARY KEY (endpoint_id), 
	CONSTRAINT fk_endpoints_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE SET NULL, 
	CONSTRAINT uq_endpoints_workspace_name UNIQUE (workspace, name)
);
CREATE TABLE entity_associations (
	association_id VARCHAR(36) NOT NULL, 
	source_type VARCHAR(36) NOT NULL, 
	source_id VARCHAR(36) NOT NULL, 
	destination_type VARCHAR(36) NOT NULL, 
	destination_id VARCHAR(36) NOT NULL, 
	created_time BIGINT, 
	CONSTRAINT entity_associations_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
CREATE TABLE "evaluation_dataset_records" (
	dataset_record_id VARCHAR(36) NOT NULL, 
	dataset_id VARCHAR(36) NOT NULL, 
	inputs JSON NOT NULL, 
	expectations JSON, 
	tags JSON, 
	source JSON, 
	source_id VARCHAR(36), 
	source_type VARCHAR(255), 
	created_time BIGINT, 
	last_update_time BIGINT, 
	created_by VARCHAR(255), 
	last_updated_by VARCHAR(255), 
	input_hash VARCHAR(64) NOT NULL, outputs JSON, 
	CONSTRAINT evaluation_dataset_records_pk PRIMARY KEY (dataset_record_id), 
	CONSTRAINT fk_evaluation_dataset_records_dataset_id FOREIGN KEY(dataset_id) REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE, 
	CONSTRAINT unique_dataset_input UNIQUE (dataset_id, input_hash)
);
CREATE TABLE evaluation_dataset_tags (
	dataset_id VARCHAR(36) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	value VARCHAR(5000), 
	CONSTRAINT evaluation_dataset_tags_pk PRIMARY KEY (dataset_id, "key"), 
	CONSTRAINT fk_evaluation_dataset_tags_dataset_id FOREIGN KEY(dataset_id) REFERENCES evaluation_datasets (dataset_id) ON DELETE CASCADE
);
CREATE TABLE "evaluation_datasets" (
	dataset_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	schema TEXT, 
	profile TEXT, 
	digest VARCHAR(64), 
	created_time BIGINT, 
	last_update_time BIGINT, 
	created_by VARCHAR(255), 
	last_updated_by VARCHAR(255), 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT evaluation_datasets_pk PRIMARY KEY (dataset_id)
);
CREATE TABLE "experiment_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value TEXT, 
	experiment_id INTEGER NOT NULL, 
	CONSTRAINT experiment_tag_pk PRIMARY KEY ("key", experiment_id), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE "experiments" (
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	artifact_location VARCHAR(256), 
	lifecycle_stage VARCHAR(32), 
	creation_time BIGINT, 
	last_update_time BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT experiment_pk PRIMARY KEY (experiment_id), 
	CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT uq_experiments_workspace_name UNIQUE (workspace, name)
);
INSERT INTO "experiments" VALUES(0,'Default','{folder}/mlruns/0','active',1795836062354,1795836062354,'default');
INSERT INTO "experiments" VALUES(1,'old-runs','{folder}/mlruns/1','active',1795836062417,1795836062417,'default');
CREATE TABLE guardrail_configs (
	endpoint_id VARCHAR(36) NOT NULL, 
	guardrail_id VARCHAR(36) NOT NULL, 
	execution_order INTEGER, 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT guardrail_configs_pk PRIMARY KEY (endpoint_id, guardrail_id), 
	CONSTRAINT fk_guardrail_configs_endpoint_id FOREIGN KEY(endpoint_id) REFERENCES endpoints (endpoint_id) ON DELETE CASCADE, 
	CONSTRAINT fk_guardrail_configs_guardrail_id FOREIGN KEY(guardrail_id) REFERENCES guardrails (guardrail_id) ON DELETE CASCADE
);
CREATE TABLE guardrails (
	guardrail_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	scorer_id VARCHAR(36) NOT NULL, 
	scorer_version INTEGER NOT NULL, 
	stage VARCHAR(32) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	action_endpoint_id VARCHAR(36), 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT guardrails_pk PRIMARY KEY (guardrail_id), 
	CONSTRAINT fk_guardrails_scorer_version FOREIGN KEY(scorer_id, scorer_version) REFERENCES scorer_versions (scorer_id, scorer_version), 
	CONSTRAINT fk_guardrails_action_endpoint_id FOREIGN KEY(action_endpoint_id) REFERENCES endpoints (endpoint_id) ON DELETE SET NULL
);
CREATE TABLE input_tags (
	input_uuid VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	value VARCHAR(500) NOT NULL, 
	CONSTRAINT input_tags_pk PRIMARY KEY (input_uuid, name)
);
INSERT INTO "input_tags" VALUES('1f6b7178259646ad994dfad1e834ae84','mlflow.data.context','train');
INSERT INTO "input_tags" VALUES('dee21b6c724642feb9880b6b8e65dc45','mlflow.data.context','val');
INSERT INTO "input_tags" VALUES('584766cab0004be9911a8947f9504d56','mlflow.data.context','train');
INSERT INTO "input_tags" VALUES('fd1e659e3f9b4934922c302c5b863569','mlflow.data.context','val');
INSERT INTO "input_tags" VALUES('5fb060911d904a0ca588c94a4cb58f6c','mlflow.data.context','train');
INSERT INTO "input_tags" VALUES('5336cf59af604d0dacd89cc6d7882033','mlflow.data.context','val');
INSERT INTO "input_tags" VALUES('1349cc13313a4ccf9c4147e5557b3c51','mlflow.data.context','train');
INSERT INTO "input_tags" VALUES('7d616e1aec664aa0a2a6c5f177fb42a2','mlflow.data.context','val');
INSERT INTO "input_tags" VALUES('a304ab1b9e184384826f69ebd3d318fa','mlflow.data.context','train');
INSERT INTO "input_tags" VALUES('9197ed97579345688e2ccdc590b2b97b','mlflow.data.context','val');
CREATE TABLE inputs (
	input_uuid VARCHAR(36) NOT NULL, 
	source_type VARCHAR(36) NOT NULL, 
	source_id VARCHAR(36) NOT NULL, 
	destination_type VARCHAR(36) NOT NULL, 
	destination_id VARCHAR(36) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT inputs_pk PRIMARY KEY (source_type, source_id, destination_type, destination_id)
);
INSERT INTO "inputs" VALUES('1f6b7178259646ad994dfad1e834ae84','DATASET','2a9bf1bbedb14020b7dbf1732c2e5145','RUN','e588d0c13666448ab7cc5adea11facb0',0);
INSERT INTO "inputs" VALUES('dee21b6c724642feb9880b6b8e65dc45','DATASET','5e683fdd19a9422fb91c4eeee4de0691','RUN','e588d0c13666448ab7cc5adea11facb0',0);
INSERT INTO "inputs" VALUES('584766cab0004be9911a8947f9504d56','DATASET','2a9bf1bbedb14020b7dbf1732c2e5145','RUN','b37895bcb42743c596c4486260495444',0);
INSERT INTO "inputs" VALUES('fd1e659e3f9b4934922c302c5b863569','DATASET','5e683fdd19a9422fb91c4eeee4de0691','RUN','b37895bcb42743c596c4486260495444',0);
INSERT INTO "inputs" VALUES('5fb060911d904a0ca588c94a4cb58f6c','DATASET','2a9bf1bbedb14020b7dbf1732c2e5145','RUN','fccff8c3ab46492682f687bf8c9f0d67',0);
INSERT INTO "inputs" VALUES('5336cf59af604d0dacd89cc6d7882033','DATASET','5e683fdd19a9422fb91c4eeee4de0691','RUN','fccff8c3ab46492682f687bf8c9f0d67',0);
INSERT INTO "inputs" VALUES('1349cc13313a4ccf9c4147e5557b3c51','DATASET','2a9bf1bbedb14020b7dbf1732c2e5145','RUN','ffcf741ead6143b1a62b8fad97192354',0);
INSERT INTO "inputs" VALUES('7d616e1aec664aa0a2a6c5f177fb42a2','DATASET','5e683fdd19a9422fb91c4eeee4de0691','RUN','ffcf741ead6143b1a62b8fad97192354',0);
INSERT INTO "inputs" VALUES('a304ab1b9e184384826f69ebd3d318fa','DATASET','2a9bf1bbedb14020b7dbf1732c2e5145','RUN','cf2459475a6f49b09ba46fd2463205f0',0);
INSERT INTO "inputs" VALUES('9197ed97579345688e2ccdc590b2b97b','DATASET','5e683fdd19a9422fb91c4eeee4de0691','RUN','cf2459475a6f49b09ba46fd2463205f0',0);
CREATE TABLE issues (
	issue_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(250) NOT NULL, 
	description TEXT NOT NULL, 
	status VARCHAR(50) NOT NULL, 
	severity VARCHAR(50), 
	root_causes TEXT, 
	source_run_id VARCHAR(32), 
	categories TEXT, 
	created_timestamp BIGINT NOT NULL, 
	last_updated_timestamp BIGINT NOT NULL, 
	created_by VARCHAR(255), 
	CONSTRAINT issues_pk PRIMARY KEY (issue_id), 
	CONSTRAINT fk_issues_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE, 
	CONSTRAINT fk_issues_source_run_id FOREIGN KEY(source_run_id) REFERENCES runs (run_uuid) ON DELETE SET NULL
);
CREATE TABLE job_locks (
	lock_key VARCHAR(255) NOT NULL, 
	job_id VARCHAR(36) NOT NULL, 
	acquired_at BIGINT NOT NULL, 
	CONSTRAINT job_locks_pk PRIMARY KEY (lock_key), 
	CONSTRAINT fk_job_locks_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE TABLE "jobs" (
	id VARCHAR(36) NOT NULL, 
	creation_time BIGINT NOT NULL, 
	job_name VARCHAR(500) NOT NULL, 
	params TEXT NOT NULL, 
	timeout FLOAT, 
	status INTEGER NOT NULL, 
	result TEXT, 
	retry_count INTEGER NOT NULL, 
	last_update_time BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, status_details JSON, creator VARCHAR(255), executor_backend VARCHAR(255), lease_expires_at BIGINT, status_message TEXT, progress JSON, progress_updated_at BIGINT, token_hash VARCHAR(64), scoped_permissions JSON, next_attempt_at BIGINT, 
	CONSTRAINT jobs_pk PRIMARY KEY (id)
);
CREATE TABLE label_schemas (
	schema_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(250) NOT NULL, 
	type VARCHAR(16) NOT NULL, 
	instruction TEXT, 
	enable_comment BOOLEAN DEFAULT '0' NOT NULL, 
	input_type VARCHAR(32) NOT NULL, 
	input_config TEXT NOT NULL, 
	created_by VARCHAR(255), 
	created_time BIGINT NOT NULL, 
	last_update_time BIGINT NOT NULL, 
	is_default BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT label_schemas_pk PRIMARY KEY (schema_id), 
	CONSTRAINT fk_label_schemas_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE, 
	CONSTRAINT uq_label_schemas_exp_name UNIQUE (experiment_id, name)
);
CREATE TABLE "latest_metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT, 
	step BIGINT NOT NULL, 
	is_nan BOOLEAN NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "latest_metrics" VALUES('train_loss',6.56769584206973844331e-01,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_loss',6.76513453479092752296e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_auc',6.32411067193675902053e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('lr',0.03,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('epoch_seconds',6.87620660000902717001e-02,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('images_per_second',1.31939736680466467076e+03,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('stage',1.0,1795836065706,3,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('threshold',0.41,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('threshold_plain',0.41,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_auc_tta',6.36363636363636353543e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_sensitivity',1.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_specificity',0.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('temperature',1.34884391917853146969e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_ece',2.30628222651445474733e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_ece_bias',2.23886773870567129529e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_brier',2.41702288864145853342e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_log_loss',6.7653808109232271839e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_ece_calibrated',1.93741334091836248099e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_ece_bias_calibrated',1.96594488006871098706e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_brier_calibrated',2.20262323755890054854e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_log_loss_calibrated',6.32796370416582099061e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_90',0.391304347826087,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_90',1.81818181818181823228e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_95',4.34782608695652161845e-02,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_95',1.81818181818181823228e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('best_epoch',1.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('parameters',99021.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('parameters_stage1',257.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('stage1_best_val_accuracy',6.76470588235294156831e-01,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_trained',3.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_reused',0.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('saved_seconds',0.0,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('train_seconds',2.5446315369999865652e+00,1795836065907,4,0,'b37895bcb42743c596c4486260495444');
INSERT INTO "latest_metrics" VALUES('train_loss',6.96264996248133094525e-01,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_loss',6.9931925589068688609e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_auc',4.58498023715415037315e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('lr',0.003,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('epoch_seconds',7.65659269998195668449e-02,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('images_per_second',1.14489278146529431978e+03,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('stage',1.0,1795836068779,3,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('threshold',0.39,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('threshold_plain',0.39,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta',3.23529411764705898679e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_auc_tta',4.98023715415019718744e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_sensitivity',1.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_specificity',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('temperature',1.99999986141465768696e+01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_ece',2.71726922018155514493e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_ece_bias',2.2196380227084097636e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_brier',2.53085575225312442437e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_log_loss',6.9931893778104969872e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_ece_calibrated',2.65056968306964291226e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_ece_bias_calibrated',2.20663153493609959232e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_brier_calibrated',2.50150842178866406051e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_log_loss_calibrated',6.93448864991024649384e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_90',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_90',9.09090909090909116141e-02,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_95',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_95',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('best_epoch',1.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('parameters',99021.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('parameters_stage1',257.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('stage1_best_val_accuracy',3.23529411764705898679e-01,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_trained',3.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_reused',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('saved_seconds',0.0,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('train_seconds',0.697928802999968,1795836068930,4,0,'fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "latest_metrics" VALUES('train_loss',7.00960944680606656831e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('val_loss',7.00327250492054798058e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('val_auc',4.03162055335968383396e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('lr',0.001,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('epoch_seconds',1.15653903000065838568e-01,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('images_per_second',8.26654873705431555205e+02,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('stage',1.0,1795836071537,2,0,'ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "latest_metrics" VALUES('train_loss',6.88846868627211672553e-01,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_loss',0.689680036136423,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_auc',4.34782608695652161845e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('lr',0.001,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('epoch_seconds',1.95742762999998376471e-01,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('images_per_second',1.29918206554168978077e+03,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('stage',1.0,1795836072561,3,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('threshold',0.4,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('threshold_plain',0.4,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_auc_tta',3.95256916996047480417e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_sensitivity',1.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_specificity',0.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('temperature',5.00000031573892764202e-02,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_ece',2.63531368268691668088e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_ece_bias',2.21424724412475210089e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_brier',2.48270298478329098923e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_log_loss',6.89687664279817091994e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_ece_calibrated',2.41522404330830886554e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_ece_bias_calibrated',2.19881447113090960909e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_brier_calibrated',2.2505256819419139358e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_log_loss_calibrated',6.42726712069231820301e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_90',1.30434782608695648553e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_90',0.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_sensitivity_at_specificity_95',1.30434782608695648553e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_specificity_at_sensitivity_95',0.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('best_epoch',1.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('parameters',99021.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('parameters_stage1',257.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('stage1_best_val_accuracy',6.76470588235294156831e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_trained',3.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('stage1_epochs_reused',0.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('saved_seconds',0.0,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "latest_metrics" VALUES('train_seconds',8.60719829000117897521e-01,1795836072805,4,0,'cf2459475a6f49b09ba46fd2463205f0');
CREATE TABLE logged_model_metrics (
	model_id VARCHAR(36) NOT NULL, 
	metric_name VARCHAR(500) NOT NULL, 
	metric_timestamp_ms BIGINT NOT NULL, 
	metric_step BIGINT NOT NULL, 
	metric_value FLOAT, 
	experiment_id INTEGER NOT NULL, 
	run_id VARCHAR(32) NOT NULL, 
	dataset_uuid VARCHAR(36), 
	dataset_name VARCHAR(500), 
	dataset_digest VARCHAR(36), 
	CONSTRAINT logged_model_metrics_pk PRIMARY KEY (model_id, metric_name, metric_timestamp_ms, metric_step, run_id), 
	CONSTRAINT fk_logged_model_metrics_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_metrics_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE, 
	CONSTRAINT fk_logged_model_metrics_run_id FOREIGN KEY(run_id) REFERENCES runs (run_uuid) ON DELETE CASCADE
);
CREATE TABLE logged_model_params (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	param_key VARCHAR(255) NOT NULL, 
	param_value TEXT NOT NULL, 
	CONSTRAINT logged_model_params_pk PRIMARY KEY (model_id, param_key), 
	CONSTRAINT fk_logged_model_params_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_params_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE
);
CREATE TABLE logged_model_tags (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	tag_key VARCHAR(255) NOT NULL, 
	tag_value TEXT NOT NULL, 
	CONSTRAINT logged_model_tags_pk PRIMARY KEY (model_id, tag_key), 
	CONSTRAINT fk_logged_model_tags_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_logged_model_tags_model_id FOREIGN KEY(model_id) REFERENCES logged_models (model_id) ON DELETE CASCADE
);
CREATE TABLE logged_models (
	model_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(500) NOT NULL, 
	artifact_location VARCHAR(1000) NOT NULL, 
	creation_timestamp_ms BIGINT NOT NULL, 
	last_updated_timestamp_ms BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	lifecycle_stage VARCHAR(32), 
	model_type VARCHAR(500), 
	source_run_id VARCHAR(32), 
	status_message VARCHAR(1000), 
	CONSTRAINT logged_models_pk PRIMARY KEY (model_id), 
	CONSTRAINT logged_models_lifecycle_stage_check CHECK (lifecycle_stage IN ('active', 'deleted')), 
	CONSTRAINT fk_logged_models_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE mcp_access_endpoints (
	id VARCHAR(36) NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	server_name VARCHAR(256) NOT NULL, 
	server_version VARCHAR(128), 
	server_alias VARCHAR(256), 
	url VARCHAR(2048) NOT NULL, 
	transport_type VARCHAR(32) DEFAULT 'streamable-http' NOT NULL, 
	created_by VARCHAR(256), 
	last_updated_by VARCHAR(256), 
	created_at BIGINT NOT NULL, 
	last_updated_at BIGINT NOT NULL, 
	CONSTRAINT mcp_access_endpoints_pk PRIMARY KEY (id), 
	CONSTRAINT mcp_access_endpoints_server_fkey FOREIGN KEY(workspace, server_name) REFERENCES mcp_servers (workspace, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE mcp_server_aliases (
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	alias VARCHAR(256) NOT NULL, 
	version VARCHAR(128) NOT NULL, 
	CONSTRAINT mcp_server_aliases_pk PRIMARY KEY (workspace, name, alias), 
	CONSTRAINT mcp_server_aliases_server_fkey FOREIGN KEY(workspace, name) REFERENCES mcp_servers (workspace, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE mcp_server_tags (
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	CONSTRAINT mcp_server_tags_pk PRIMARY KEY (workspace, name, "key"), 
	CONSTRAINT mcp_server_tags_server_fkey FOREIGN KEY(workspace, name) REFERENCES mcp_servers (workspace, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE mcp_server_version_tags (
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	version VARCHAR(128) NOT NULL, 
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	CONSTRAINT mcp_server_version_tags_pk PRIMARY KEY (workspace, name, version, "key"), 
	CONSTRAINT mcp_server_version_tags_version_fkey FOREIGN KEY(workspace, name, version) REFERENCES mcp_server_versions (workspace, name, version) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE mcp_server_versions (
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	version VARCHAR(128) NOT NULL, 
	version_major INTEGER NOT NULL, 
	version_minor INTEGER NOT NULL, 
	version_patch INTEGER NOT NULL, 
	version_prerelease_sort_key VARCHAR(512) NOT NULL, 
	server_json JSON NOT NULL, 
	status VARCHAR(20) DEFAULT 'draft' NOT NULL, 
	tools JSON, 
	source VARCHAR(512), 
	connect_options JSON, 
	created_by VARCHAR(256), 
	last_updated_by VARCHAR(256), 
	created_at BIGINT NOT NULL, 
	last_updated_at BIGINT NOT NULL, 
	CONSTRAINT mcp_server_versions_pk PRIMARY KEY (workspace, name, version), 
	CONSTRAINT mcp_server_versions_server_fkey FOREIGN KEY(workspace, name) REFERENCES mcp_servers (workspace, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE mcp_servers (
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	display_name VARCHAR(256), 
	description TEXT, 
	icons JSON, 
	created_by VARCHAR(256), 
	last_updated_by VARCHAR(256), 
	created_at BIGINT NOT NULL, 
	last_updated_at BIGINT NOT NULL, 
	CONSTRAINT mcp_servers_pk PRIMARY KEY (workspace, name)
);
CREATE TABLE "metrics" (
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT NOT NULL, 
	timestamp BIGINT NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	step BIGINT DEFAULT '0' NOT NULL, 
	is_nan BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), 
	CHECK (is_nan IN (0, 1))
);
INSERT INTO "metrics" VALUES('train_loss',6.908054351806640625e-01,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('train_accuracy',5.58823529411764718943e-01,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('val_loss',6.76513453479092752296e-01,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('val_auc',6.32411067193675902053e-01,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('lr',0.03,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('epoch_seconds',1.92003286299996034358e+00,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('images_per_second',6.95807180534595318003e+02,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836065494,'b37895bcb42743c596c4486260495444',1,0);
INSERT INTO "metrics" VALUES('train_loss',6.70419188106761265721e-01,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('val_loss',6.58718973897674531237e-01,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('val_auc',0.616600790513834,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('lr',0.03,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('epoch_seconds',7.04791809998823737259e-02,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('images_per_second',1.37302129459347452213e+03,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836065601,'b37895bcb42743c596c4486260495444',2,0);
INSERT INTO "metrics" VALUES('train_loss',6.56769584206973844331e-01,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('val_loss',6.46913815488369681183e-01,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('val_auc',0.616600790513834,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('lr',0.03,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('epoch_seconds',6.87620660000902717001e-02,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('images_per_second',1.31939736680466467076e+03,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836065706,'b37895bcb42743c596c4486260495444',3,0);
INSERT INTO "metrics" VALUES('threshold',0.41,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('threshold_plain',0.41,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_auc',6.32411067193675902053e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_auc_tta',6.36363636363636353543e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity',1.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_specificity',0.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('temperature',1.34884391917853146969e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_ece',2.30628222651445474733e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias',2.23886773870567129529e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_brier',2.41702288864145853342e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_log_loss',6.7653808109232271839e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_ece_calibrated',1.93741334091836248099e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias_calibrated',1.96594488006871098706e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_brier_calibrated',2.20262323755890054854e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_log_loss_calibrated',6.32796370416582099061e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_90',0.391304347826087,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_90',1.81818181818181823228e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_95',4.34782608695652161845e-02,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_95',1.81818181818181823228e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('best_epoch',1.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('val_loss',6.76513453479092752296e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('parameters',99021.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('parameters_stage1',257.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('stage1_best_val_accuracy',6.76470588235294156831e-01,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_trained',3.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_reused',0.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('saved_seconds',0.0,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('train_seconds',2.5446315369999865652e+00,1795836065907,'b37895bcb42743c596c4486260495444',4,0);
INSERT INTO "metrics" VALUES('train_loss',0.700963581309599,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('val_loss',6.9931925589068688609e-01,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('val_auc',4.58498023715415037315e-01,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('lr',0.003,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('epoch_seconds',6.8376623000176550704e-02,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('images_per_second',1.44285202618331618393e+03,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836068538,'fccff8c3ab46492682f687bf8c9f0d67',1,0);
INSERT INTO "metrics" VALUES('train_loss',6.98540238773121546778e-01,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('val_loss',0.696780338744106,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('val_auc',5.17786561264822142724e-01,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('lr',0.003,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('epoch_seconds',8.0923511000037251506e-02,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('images_per_second',1.22405024726340684539e+03,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836068663,'fccff8c3ab46492682f687bf8c9f0d67',2,0);
INSERT INTO "metrics" VALUES('train_loss',6.96264996248133094525e-01,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('val_loss',0.694438887939515,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('val_auc',5.57312252964426879664e-01,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('lr',0.003,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('epoch_seconds',7.65659269998195668449e-02,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('images_per_second',1.14489278146529431978e+03,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836068779,'fccff8c3ab46492682f687bf8c9f0d67',3,0);
INSERT INTO "metrics" VALUES('threshold',0.39,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('threshold_plain',0.39,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta',3.23529411764705898679e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_auc',4.58498023715415037315e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_auc_tta',4.98023715415019718744e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity',1.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_specificity',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('temperature',1.99999986141465768696e+01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_ece',2.71726922018155514493e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias',2.2196380227084097636e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_brier',2.53085575225312442437e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_log_loss',6.9931893778104969872e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_ece_calibrated',2.65056968306964291226e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias_calibrated',2.20663153493609959232e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_brier_calibrated',2.50150842178866406051e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_log_loss_calibrated',6.93448864991024649384e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_90',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_90',9.09090909090909116141e-02,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_95',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_95',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('best_epoch',1.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('val_loss',6.9931925589068688609e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('parameters',99021.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('parameters_stage1',257.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('stage1_best_val_accuracy',3.23529411764705898679e-01,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_trained',3.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_reused',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('saved_seconds',0.0,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('train_seconds',0.697928802999968,1795836068930,'fccff8c3ab46492682f687bf8c9f0d67',4,0);
INSERT INTO "metrics" VALUES('train_loss',0.701746940612793,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('val_loss',7.01193155623667463416e-01,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('val_auc',4.03162055335968383396e-01,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('lr',0.001,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('epoch_seconds',8.80658020000737451482e-02,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('images_per_second',1.33511455940446580829e+03,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836071325,'ffcf741ead6143b1a62b8fad97192354',1,0);
INSERT INTO "metrics" VALUES('train_loss',7.00960944680606656831e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('train_accuracy',3.23529411764705898679e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('val_loss',7.00327250492054798058e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('val_accuracy',3.23529411764705898679e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('val_auc',4.03162055335968383396e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('lr',0.001,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('epoch_seconds',1.15653903000065838568e-01,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('images_per_second',8.26654873705431555205e+02,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836071537,'ffcf741ead6143b1a62b8fad97192354',2,0);
INSERT INTO "metrics" VALUES('train_loss',6.90135899712057687693e-01,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('val_loss',0.689680036136423,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('val_auc',4.34782608695652161845e-01,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('lr',0.001,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('epoch_seconds',7.13625959999717451864e-02,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('images_per_second',1.24257919825042381493e+03,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836072182,'cf2459475a6f49b09ba46fd2463205f0',1,0);
INSERT INTO "metrics" VALUES('train_loss',6.89553821788114640334e-01,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('val_loss',6.89009175201992118964e-01,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('val_auc',0.458498023715415,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('lr',0.001,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('epoch_seconds',7.49435539999012689804e-02,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('images_per_second',1.27215876062601364532e+03,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836072278,'cf2459475a6f49b09ba46fd2463205f0',2,0);
INSERT INTO "metrics" VALUES('train_loss',6.88846868627211672553e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('train_accuracy',6.76470588235294156831e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('val_loss',6.88478396666702519013e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('val_auc',4.74308300395256843273e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('lr',0.001,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('epoch_seconds',1.95742762999998376471e-01,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('images_per_second',1.29918206554168978077e+03,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('stage',1.0,1795836072561,'cf2459475a6f49b09ba46fd2463205f0',3,0);
INSERT INTO "metrics" VALUES('threshold',0.4,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('threshold_plain',0.4,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_threshold',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_tta_threshold',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_auc',4.34782608695652161845e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_auc_tta',3.95256916996047480417e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity',1.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_specificity',0.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('temperature',5.00000031573892764202e-02,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_ece',2.63531368268691668088e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias',2.21424724412475210089e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_brier',2.48270298478329098923e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_log_loss',6.89687664279817091994e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_ece_calibrated',2.41522404330830886554e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_ece_bias_calibrated',2.19881447113090960909e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_brier_calibrated',2.2505256819419139358e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_log_loss_calibrated',6.42726712069231820301e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_90',1.30434782608695648553e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_90',0.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_sensitivity_at_specificity_95',1.30434782608695648553e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_specificity_at_sensitivity_95',0.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_accuracy_crossfit_all',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('best_epoch',1.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('val_loss',0.689680036136423,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('parameters',99021.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('parameters_stage1',257.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('stage1_best_val_accuracy',6.76470588235294156831e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_trained',3.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('stage1_epochs_reused',0.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('saved_seconds',0.0,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
INSERT INTO "metrics" VALUES('train_seconds',8.60719829000117897521e-01,1795836072805,'cf2459475a6f49b09ba46fd2463205f0',4,0);
CREATE TABLE "model_definitions" (
	model_definition_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	secret_id VARCHAR(36), 
	provider VARCHAR(64) NOT NULL, 
	model_name VARCHAR(256) NOT NULL, 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT model_definitions_pk PRIMARY KEY (model_definition_id), 
	CONSTRAINT fk_model_definitions_secret_id FOREIGN KEY(secret_id) REFERENCES secrets (secret_id) ON DELETE SET NULL, 
	CONSTRAINT uq_model_definitions_workspace_name UNIQUE (workspace, name)
);
CREATE TABLE "model_version_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value TEXT, 
	name VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT model_version_tag_pk PRIMARY KEY (workspace, "key", name, version), 
	CONSTRAINT fk_model_version_tags_model_versions FOREIGN KEY(workspace, name, version) REFERENCES model_versions (workspace, name, version) ON UPDATE CASCADE
);
CREATE TABLE "model_versions" (
	name VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	creation_time BIGINT, 
	last_updated_time BIGINT, 
	description VARCHAR(5000), 
	user_id VARCHAR(256), 
	current_stage VARCHAR(20), 
	source VARCHAR(500), 
	run_id VARCHAR(32), 
	status VARCHAR(20), 
	status_message VARCHAR(500), 
	run_link VARCHAR(500), 
	storage_location VARCHAR(500), 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT model_version_pk PRIMARY KEY (workspace, name, version), 
	CONSTRAINT fk_model_versions_registered_models FOREIGN KEY(workspace, name) REFERENCES registered_models (workspace, name) ON UPDATE CASCADE
);
CREATE TABLE online_scoring_configs (
	online_scoring_config_id VARCHAR(36) NOT NULL, 
	scorer_id VARCHAR(36) NOT NULL, 
	sample_rate FLOAT NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	filter_string TEXT, 
	CONSTRAINT online_scoring_config_pk PRIMARY KEY (online_scoring_config_id), 
	CONSTRAINT fk_online_scoring_configs_scorer_id FOREIGN KEY(scorer_id) REFERENCES scorers (scorer_id) ON DELETE CASCADE, 
	CONSTRAINT fk_online_scoring_configs_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id)
);
CREATE TABLE "params" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000) NOT NULL, 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "params" VALUES('name','old','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('seed','11','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('device','cpu','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.dataset','chestmnist','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.classes','["cardiomegaly", "pneumothorax"]','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.source_size','28','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.image_size','32','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.path','{folder}/chest.npz','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.root','{folder}/.medmnist','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.sampling','all','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.folds','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.fold','0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.drop_duplicates','false','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('data.split_seed','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.name','timm:test_efficientnet','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.weights','none','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.stem','mean','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.hidden','[]','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.dropout','0.5','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.pooling','avg','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.attention','none','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('model.drop_path','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.hflip','0.5','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.rotation','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.shift','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.scale','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.brightness','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.contrast','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.blur','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.noise','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.erasing','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.policy','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.mixup','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('augment.cutmix','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.name','bce','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.focal_gamma','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.pos_weight','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.label_smoothing','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.distill_weight','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('loss.distill_temperature','2.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.name','adamw','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.momentum','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.weight_decay','0.01','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.sam_rho','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.batch_size','16','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.accumulation','1','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.clip_norm','1.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('optimizer.precision','auto','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.epochs','3','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.lr','0.001','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.schedule','constant','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.warmup_epochs','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.patience','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage1.ema','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.epochs','0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.lr','0.0001','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.schedule','constant','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.warmup_epochs','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.patience','40','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.ema','0.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.lr_decay','1.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.batchnorm','learn','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.unfreeze_from','[0]','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('stage2.resolutions','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('evaluation.metric','val_accuracy','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('evaluation.threshold_low','0.3','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('evaluation.threshold_high','0.7','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('evaluation.threshold_step','0.01','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('evaluation.folds','5','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('tracking.experiment','old-runs','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('tracking.keep_checkpoints','3','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('tracking.system_metrics','false','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.low','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.high','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.log','false','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.step','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.choices','[0.001, 0.003, 0.01, 0.03]','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('search.stage1.lr.when','{}','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.name','old-study','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.trials','4','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.max_retries','3','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.lease_seconds','60.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.sampler','grid','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.pruner','none','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.budget','epoch','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.resampling','holdout','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.folds','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.metric','val_auc','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.direction','maximize','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.also','[]','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('study.confirm','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.champion','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.baseline','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.sensitivity','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.specificity','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.ece','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.latency_ms','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.clean_git','false','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.same_data','false','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('gates.test_openings','null','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "params" VALUES('name','old','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('seed','11','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('device','cpu','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.dataset','chestmnist','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.classes','["cardiomegaly", "pneumothorax"]','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.source_size','28','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.image_size','32','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.path','{folder}/chest.npz','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.root','{folder}/.medmnist','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.sampling','all','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.folds','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.fold','0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.drop_duplicates','false','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('data.split_seed','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.name','timm:test_efficientnet','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.weights','none','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.stem','mean','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.hidden','[]','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.dropout','0.5','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.pooling','avg','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.attention','none','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('model.drop_path','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.hflip','0.5','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.rotation','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.shift','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.scale','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.brightness','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.contrast','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.blur','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.noise','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.erasing','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.policy','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.mixup','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('augment.cutmix','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.name','bce','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.focal_gamma','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.pos_weight','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.label_smoothing','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.distill_weight','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('loss.distill_temperature','2.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.name','adamw','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.momentum','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.weight_decay','0.01','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.sam_rho','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.batch_size','16','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.accumulation','1','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.clip_norm','1.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('optimizer.precision','auto','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.epochs','3','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.lr','0.03','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.schedule','constant','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.warmup_epochs','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.patience','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage1.ema','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.epochs','0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.lr','0.0001','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.schedule','constant','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.warmup_epochs','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.patience','40','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.ema','0.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.lr_decay','1.0','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.batchnorm','learn','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.unfreeze_from','[0]','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('stage2.resolutions','null','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('evaluation.metric','val_accuracy','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('evaluation.threshold_low','0.3','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('evaluation.threshold_high','0.7','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('evaluation.threshold_step','0.01','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('evaluation.folds','5','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('tracking.experiment','old-runs','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('tracking.keep_checkpoints','3','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('tracking.system_metrics','false','b37895bcb42743c596c4486260495444');
INSERT INTO "params" VALUES('name','old','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('seed','11','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('device','cpu','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.dataset','chestmnist','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.classes','["cardiomegaly", "pneumothorax"]','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.source_size','28','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.image_size','32','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.path','{folder}/chest.npz','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.root','{folder}/.medmnist','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.sampling','all','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.folds','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.fold','0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.drop_duplicates','false','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('data.split_seed','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.name','timm:test_efficientnet','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.weights','none','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.stem','mean','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.hidden','[]','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.dropout','0.5','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.pooling','avg','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.attention','none','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('model.drop_path','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.hflip','0.5','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.rotation','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.shift','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.scale','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.brightness','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.contrast','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.blur','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.noise','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.erasing','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.policy','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.mixup','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('augment.cutmix','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.name','bce','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.focal_gamma','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.pos_weight','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.label_smoothing','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.distill_weight','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('loss.distill_temperature','2.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.name','adamw','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.momentum','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.weight_decay','0.01','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.sam_rho','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.batch_size','16','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.accumulation','1','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.clip_norm','1.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('optimizer.precision','auto','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.epochs','3','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.lr','0.003','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.schedule','constant','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.warmup_epochs','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.patience','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage1.ema','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.epochs','0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.lr','0.0001','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.schedule','constant','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.warmup_epochs','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.patience','40','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.ema','0.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.lr_decay','1.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.batchnorm','learn','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.unfreeze_from','[0]','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('stage2.resolutions','null','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('evaluation.metric','val_accuracy','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('evaluation.threshold_low','0.3','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('evaluation.threshold_high','0.7','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('evaluation.threshold_step','0.01','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('evaluation.folds','5','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('tracking.experiment','old-runs','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('tracking.keep_checkpoints','3','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('tracking.system_metrics','false','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "params" VALUES('name','old','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('seed','11','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('device','cpu','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.dataset','chestmnist','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.classes','["cardiomegaly", "pneumothorax"]','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.source_size','28','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.image_size','32','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.path','{folder}/chest.npz','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.root','{folder}/.medmnist','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.sampling','all','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.folds','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.fold','0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.drop_duplicates','false','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('data.split_seed','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.name','timm:test_efficientnet','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.weights','none','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.stem','mean','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.hidden','[]','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.dropout','0.5','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.pooling','avg','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.attention','none','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('model.drop_path','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.hflip','0.5','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.rotation','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.shift','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.scale','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.brightness','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.contrast','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.blur','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.noise','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.erasing','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.policy','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.mixup','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('augment.cutmix','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.name','bce','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.focal_gamma','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.pos_weight','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.label_smoothing','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.distill_weight','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('loss.distill_temperature','2.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.name','adamw','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.momentum','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.weight_decay','0.01','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.sam_rho','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.batch_size','16','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.accumulation','1','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.clip_norm','1.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('optimizer.precision','auto','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.epochs','3','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.lr','0.001','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.schedule','constant','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.warmup_epochs','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.patience','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage1.ema','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.epochs','0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.lr','0.0001','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.schedule','constant','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.warmup_epochs','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.patience','40','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.ema','0.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.lr_decay','1.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.batchnorm','learn','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.unfreeze_from','[0]','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('stage2.resolutions','null','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('evaluation.metric','val_accuracy','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('evaluation.threshold_low','0.3','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('evaluation.threshold_high','0.7','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('evaluation.threshold_step','0.01','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('evaluation.folds','5','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('tracking.experiment','old-runs','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('tracking.keep_checkpoints','3','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('tracking.system_metrics','false','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "params" VALUES('name','old','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('seed','12','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('device','cpu','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.dataset','chestmnist','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.classes','["cardiomegaly", "pneumothorax"]','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.source_size','28','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.image_size','32','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.path','{folder}/chest.npz','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.root','{folder}/.medmnist','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.sampling','all','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.folds','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.fold','0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.drop_duplicates','false','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('data.split_seed','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.name','timm:test_efficientnet','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.weights','none','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.stem','mean','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.hidden','[]','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.dropout','0.5','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.pooling','avg','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.attention','none','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('model.drop_path','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.hflip','0.5','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.rotation','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.shift','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.scale','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.brightness','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.contrast','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.blur','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.noise','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.erasing','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.policy','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.mixup','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('augment.cutmix','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.name','bce','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.focal_gamma','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.pos_weight','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.label_smoothing','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.distill_weight','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('loss.distill_temperature','2.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.name','adamw','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.momentum','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.weight_decay','0.01','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.sam_rho','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.batch_size','16','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.accumulation','1','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.clip_norm','1.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('optimizer.precision','auto','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.epochs','3','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.lr','0.001','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.schedule','constant','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.warmup_epochs','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.patience','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage1.ema','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.epochs','0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.lr','0.0001','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.schedule','constant','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.warmup_epochs','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.patience','40','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.ema','0.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.lr_decay','1.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.batchnorm','learn','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.unfreeze_from','[0]','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('stage2.resolutions','null','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('evaluation.metric','val_accuracy','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('evaluation.threshold_low','0.3','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('evaluation.threshold_high','0.7','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('evaluation.threshold_step','0.01','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('evaluation.folds','5','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('tracking.experiment','old-runs','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('tracking.keep_checkpoints','3','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "params" VALUES('tracking.system_metrics','false','cf2459475a6f49b09ba46fd2463205f0');
CREATE TABLE "registered_model_aliases" (
	alias VARCHAR(256) NOT NULL, 
	version INTEGER NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT registered_model_alias_pk PRIMARY KEY (workspace, name, alias), 
	CONSTRAINT fk_registered_model_aliases_registered_models FOREIGN KEY(workspace, name) REFERENCES registered_models (workspace, name) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE TABLE "registered_model_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(5000), 
	name VARCHAR(256) NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT registered_model_tag_pk PRIMARY KEY (workspace, "key", name), 
	CONSTRAINT fk_registered_model_tags_registered_models FOREIGN KEY(workspace, name) REFERENCES registered_models (workspace, name) ON UPDATE CASCADE
);
CREATE TABLE "registered_models" (
	name VARCHAR(256) NOT NULL, 
	creation_time BIGINT, 
	last_updated_time BIGINT, 
	description VARCHAR(5000), 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT registered_model_pk PRIMARY KEY (workspace, name)
);
CREATE TABLE review_queue_items (
	queue_id VARCHAR(36) NOT NULL, 
	item_type VARCHAR(16) NOT NULL, 
	item_id VARCHAR(50) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	completed_by VARCHAR(250), 
	completed_time_ms BIGINT, 
	creation_time_ms BIGINT NOT NULL, 
	last_update_time_ms BIGINT NOT NULL, 
	CONSTRAINT review_queue_items_pk PRIMARY KEY (queue_id, item_id), 
	CONSTRAINT fk_review_queue_items_queue_id FOREIGN KEY(queue_id) REFERENCES review_queues (queue_id) ON DELETE CASCADE
);
CREATE TABLE review_queue_label_schemas (
	queue_id VARCHAR(36) NOT NULL, 
	schema_id VARCHAR(36) NOT NULL, 
	CONSTRAINT review_queue_label_schemas_pk PRIMARY KEY (queue_id, schema_id), 
	CONSTRAINT fk_review_queue_label_schemas_queue_id FOREIGN KEY(queue_id) REFERENCES review_queues (queue_id) ON DELETE CASCADE
);
CREATE TABLE review_queue_users (
	queue_id VARCHAR(36) NOT NULL, 
	user_id VARCHAR(250) NOT NULL, 
	CONSTRAINT review_queue_users_pk PRIMARY KEY (queue_id, user_id), 
	CONSTRAINT fk_review_queue_users_queue_id FOREIGN KEY(queue_id) REFERENCES review_queues (queue_id) ON DELETE CASCADE
);
CREATE TABLE review_queues (
	queue_id VARCHAR(36) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	name VARCHAR(250) NOT NULL, 
	queue_type VARCHAR(16) NOT NULL, 
	created_by VARCHAR(255), 
	creation_time_ms BIGINT NOT NULL, 
	last_update_time_ms BIGINT NOT NULL, 
	name_key VARCHAR(250) NOT NULL, 
	CONSTRAINT review_queues_pk PRIMARY KEY (queue_id), 
	CONSTRAINT fk_review_queues_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE, 
	CONSTRAINT uq_review_queues_experiment_name_key UNIQUE (experiment_id, name_key)
);
CREATE TABLE "runs" (
	run_uuid VARCHAR(32) NOT NULL, 
	name VARCHAR(250), 
	source_type VARCHAR(20), 
	source_name VARCHAR(500), 
	entry_point_name VARCHAR(50), 
	user_id VARCHAR(256), 
	status VARCHAR(9), 
	start_time BIGINT, 
	end_time BIGINT, 
	source_version VARCHAR(50), 
	lifecycle_stage VARCHAR(20), 
	artifact_uri VARCHAR(200), 
	experiment_id INTEGER, deleted_time BIGINT, 
	CONSTRAINT run_pk PRIMARY KEY (run_uuid), 
	CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')), 
	CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), 
	FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED'))
);
INSERT INTO "runs" VALUES('e588d0c13666448ab7cc5adea11facb0','old-study','UNKNOWN','','','root','KILLED',1795836062486,1795836071917,'','active','{folder}/mlruns/1/e588d0c13666448ab7cc5adea11facb0/artifacts',1,NULL);
INSERT INTO "runs" VALUES('b37895bcb42743c596c4486260495444','old-study-0','UNKNOWN','','','root','FINISHED',1795836063395,1795836067945,'','active','{folder}/mlruns/1/b37895bcb42743c596c4486260495444/artifacts',1,NULL);
INSERT INTO "runs" VALUES('fccff8c3ab46492682f687bf8c9f0d67','old-study-1','UNKNOWN','','','root','FINISHED',1795836068270,1795836070708,'','active','{folder}/mlruns/1/fccff8c3ab46492682f687bf8c9f0d67/artifacts',1,NULL);
INSERT INTO "runs" VALUES('ffcf741ead6143b1a62b8fad97192354','old-study-2','UNKNOWN','','','root','KILLED',1795836071016,1795836071649,'','active','{folder}/mlruns/1/ffcf741ead6143b1a62b8fad97192354/artifacts',1,NULL);
INSERT INTO "runs" VALUES('cf2459475a6f49b09ba46fd2463205f0','single','UNKNOWN','','','root','FINISHED',1795836071975,1795836075729,'','active','{folder}/mlruns/1/cf2459475a6f49b09ba46fd2463205f0/artifacts',1,NULL);
CREATE TABLE scheduler_leases (
	lease_key VARCHAR(255) NOT NULL, 
	acquired_at BIGINT NOT NULL, 
	ttl_seconds INTEGER NOT NULL, 
	CONSTRAINT scheduler_leases_pk PRIMARY KEY (lease_key)
);
CREATE TABLE scorer_versions (
	scorer_id VARCHAR(36) NOT NULL, 
	scorer_version INTEGER NOT NULL, 
	serialized_scorer TEXT NOT NULL, 
	creation_time BIGINT, 
	CONSTRAINT scorer_version_pk PRIMARY KEY (scorer_id, scorer_version), 
	CONSTRAINT fk_scorer_versions_scorer_id FOREIGN KEY(scorer_id) REFERENCES scorers (scorer_id) ON DELETE CASCADE
);
CREATE TABLE scorers (
	experiment_id INTEGER NOT NULL, 
	scorer_name VARCHAR(256) NOT NULL, 
	scorer_id VARCHAR(36) NOT NULL, 
	CONSTRAINT scorer_pk PRIMARY KEY (scorer_id), 
	CONSTRAINT fk_scorers_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE "secrets" (
	secret_id VARCHAR(36) NOT NULL, 
	secret_name VARCHAR(255) NOT NULL, 
	encrypted_value BLOB NOT NULL, 
	wrapped_dek BLOB NOT NULL, 
	kek_version INTEGER NOT NULL, 
	masked_value VARCHAR(500) NOT NULL, 
	provider VARCHAR(64), 
	auth_config TEXT, 
	description TEXT, 
	created_by VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	last_updated_by VARCHAR(255), 
	last_updated_at BIGINT NOT NULL, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT secrets_pk PRIMARY KEY (secret_id), 
	CONSTRAINT uq_secrets_workspace_secret_name UNIQUE (workspace, secret_name)
);
CREATE TABLE span_metrics (
	trace_id VARCHAR(50) NOT NULL, 
	span_id VARCHAR(50) NOT NULL, 
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT, 
	CONSTRAINT span_metrics_pk PRIMARY KEY (trace_id, span_id, "key"), 
	CONSTRAINT fk_span_metrics_span FOREIGN KEY(trace_id, span_id) REFERENCES spans (trace_id, span_id) ON DELETE CASCADE
);
CREATE TABLE "spans" (
	trace_id VARCHAR(50) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	span_id VARCHAR(50) NOT NULL, 
	parent_span_id VARCHAR(50), 
	name TEXT, 
	type VARCHAR(500), 
	status VARCHAR(50) NOT NULL, 
	start_time_unix_nano BIGINT NOT NULL, 
	end_time_unix_nano BIGINT, 
	duration_ns BIGINT GENERATED ALWAYS AS (end_time_unix_nano - start_time_unix_nano) STORED, 
	content TEXT NOT NULL, 
	input_cost FLOAT, 
	output_cost FLOAT, 
	total_cost FLOAT, 
	model_name VARCHAR(500), 
	model_provider VARCHAR(500), 
	CONSTRAINT spans_pk PRIMARY KEY (trace_id, span_id), 
	CONSTRAINT fk_spans_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id), 
	CONSTRAINT fk_spans_trace_id FOREIGN KEY(trace_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE sql_assessment_daily_rollups (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	rollup_day DATE NOT NULL, 
	metric_name VARCHAR(250) NOT NULL, 
	grouping_set VARCHAR(50) NOT NULL, 
	sample_count BIGINT NOT NULL, 
	sum_value FLOAT, 
	min_value FLOAT, 
	max_value FLOAT, 
	CONSTRAINT sql_assessment_daily_rollups_pk PRIMARY KEY (id)
);
CREATE TABLE sql_span_cost_daily_rollups (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	rollup_day DATE NOT NULL, 
	metric_name VARCHAR(250) NOT NULL, 
	grouping_set VARCHAR(50) NOT NULL, 
	model_name VARCHAR(500), 
	model_provider VARCHAR(500), 
	sample_count BIGINT NOT NULL, 
	sum_value FLOAT, 
	min_value FLOAT, 
	max_value FLOAT, 
	CONSTRAINT sql_span_cost_daily_rollups_pk PRIMARY KEY (id)
);
CREATE TABLE sql_trace_metric_daily_rollups (
	id INTEGER NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	rollup_day DATE NOT NULL, 
	metric_name VARCHAR(250) NOT NULL, 
	grouping_set VARCHAR(50) NOT NULL, 
	trace_status VARCHAR(50), 
	sample_count BIGINT NOT NULL, 
	sum_value FLOAT, 
	min_value FLOAT, 
	max_value FLOAT, 
	p50_value FLOAT, 
	p90_value FLOAT, 
	p99_value FLOAT, 
	CONSTRAINT sql_trace_metric_daily_rollups_pk PRIMARY KEY (id)
);
CREATE TABLE sql_trace_rollup_rebuild_queue (
	experiment_id INTEGER NOT NULL, 
	rollup_day DATE NOT NULL, 
	rollup_family VARCHAR(50) NOT NULL, 
	CONSTRAINT sql_trace_rollup_rebuild_queue_pk PRIMARY KEY (experiment_id, rollup_day, rollup_family)
);
CREATE TABLE "tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	run_uuid VARCHAR(32) NOT NULL, 
	CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), 
	FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid)
);
INSERT INTO "tags" VALUES('kind','study','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('study','old-study','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('metric','val_auc','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('direction','maximize','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('model','timm:test_efficientnet','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('weights','none','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('dataset','chestmnist','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('config_digest','37e92326dd59854f','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('data_digest','bcf69d3def76c0ed','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('val_digest','50296ba2808682e5','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('classes','cardiomegaly / pneumothorax','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('mlflow.user','root','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('mlflow.source.git.commit','3ed54fac3f162c57322068079d46d77a60c7a445','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('git_commit','3ed54fac3f162c57322068079d46d77a60c7a445','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('git_dirty','true','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('package_version','0.1.0','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('owner','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78}','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('mlflow.runName','old-study','e588d0c13666448ab7cc5adea11facb0');
INSERT INTO "tags" VALUES('kind','trial','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('study','old-study','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('trial','0','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('mlflow.parentRunId','e588d0c13666448ab7cc5adea11facb0','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('model','timm:test_efficientnet','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('weights','none','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('dataset','chestmnist','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('config_digest','0f74f5634bbe25eb','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('data_digest','bcf69d3def76c0ed','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('val_digest','50296ba2808682e5','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('classes','cardiomegaly / pneumothorax','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('mlflow.user','root','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('mlflow.source.git.commit','3ed54fac3f162c57322068079d46d77a60c7a445','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('git_commit','3ed54fac3f162c57322068079d46d77a60c7a445','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('git_dirty','true','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('package_version','0.1.0','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('owner','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78}','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('mlflow.runName','old-study-0','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('result','finished','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('trial_state','COMPLETE','b37895bcb42743c596c4486260495444');
INSERT INTO "tags" VALUES('kind','trial','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('study','old-study','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('trial','1','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('mlflow.parentRunId','e588d0c13666448ab7cc5adea11facb0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('model','timm:test_efficientnet','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('weights','none','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('dataset','chestmnist','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('config_digest','44c5188399006514','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('data_digest','bcf69d3def76c0ed','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('val_digest','50296ba2808682e5','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('classes','cardiomegaly / pneumothorax','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('mlflow.user','root','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('mlflow.source.git.commit','3ed54fac3f162c57322068079d46d77a60c7a445','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('git_commit','3ed54fac3f162c57322068079d46d77a60c7a445','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('git_dirty','true','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('package_version','0.1.0','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('owner','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78}','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('mlflow.runName','old-study-1','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('result','finished','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('trial_state','COMPLETE','fccff8c3ab46492682f687bf8c9f0d67');
INSERT INTO "tags" VALUES('kind','trial','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('study','old-study','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('trial','2','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('mlflow.parentRunId','e588d0c13666448ab7cc5adea11facb0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('model','timm:test_efficientnet','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('weights','none','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('dataset','chestmnist','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('config_digest','37e92326dd59854f','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('data_digest','bcf69d3def76c0ed','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('val_digest','50296ba2808682e5','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('classes','cardiomegaly / pneumothorax','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('mlflow.user','root','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('mlflow.source.git.commit','3ed54fac3f162c57322068079d46d77a60c7a445','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('git_commit','3ed54fac3f162c57322068079d46d77a60c7a445','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('git_dirty','true','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('package_version','0.1.0','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('owner','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78}','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('mlflow.runName','old-study-2','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('trial_state','INTERRUPTED','ffcf741ead6143b1a62b8fad97192354');
INSERT INTO "tags" VALUES('kind','train','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('model','timm:test_efficientnet','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('weights','none','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('dataset','chestmnist','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('config_digest','a12823968e0e3717','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('data_digest','bcf69d3def76c0ed','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('val_digest','50296ba2808682e5','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('classes','cardiomegaly / pneumothorax','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('mlflow.user','root','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('mlflow.source.name','make.py','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('mlflow.source.git.commit','3ed54fac3f162c57322068079d46d77a60c7a445','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('git_commit','3ed54fac3f162c57322068079d46d77a60c7a445','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('git_dirty','true','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('package_version','0.1.0','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('owner','{"host": "elsewhere", "machine": "5281f6eeb74e", "pid": 12882, "started": 1795836030.78}','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('mlflow.runName','single','cf2459475a6f49b09ba46fd2463205f0');
INSERT INTO "tags" VALUES('result','finished','cf2459475a6f49b09ba46fd2463205f0');
CREATE TABLE "trace_info" (
	request_id VARCHAR(50) NOT NULL, 
	experiment_id INTEGER NOT NULL, 
	timestamp_ms BIGINT NOT NULL, 
	execution_time_ms BIGINT, 
	status VARCHAR(50) NOT NULL, 
	client_request_id VARCHAR(50), 
	request_preview VARCHAR(1000), 
	response_preview VARCHAR(1000), 
	db_payload_generation INTEGER DEFAULT '0' NOT NULL, trace_name VARCHAR(4096), session_id VARCHAR(250), input_tokens BIGINT, output_tokens BIGINT, total_tokens BIGINT, cache_read_input_tokens BIGINT, cache_creation_input_tokens BIGINT, cache_creation_input_tokens_above_1hr BIGINT, input_cost FLOAT, output_cost FLOAT, total_cost FLOAT, 
	CONSTRAINT trace_info_pk PRIMARY KEY (request_id), 
	CONSTRAINT fk_trace_info_experiment_id FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id) ON DELETE CASCADE
);
CREATE TABLE trace_metrics (
	request_id VARCHAR(50) NOT NULL, 
	"key" VARCHAR(250) NOT NULL, 
	value FLOAT, 
	CONSTRAINT trace_metrics_pk PRIMARY KEY (request_id, "key"), 
	CONSTRAINT fk_trace_metrics_request_id FOREIGN KEY(request_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE "trace_request_metadata" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	request_id VARCHAR(50) NOT NULL, 
	CONSTRAINT trace_request_metadata_pk PRIMARY KEY ("key", request_id), 
	CONSTRAINT fk_trace_request_metadata_request_id FOREIGN KEY(request_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE "trace_tags" (
	"key" VARCHAR(250) NOT NULL, 
	value VARCHAR(8000), 
	request_id VARCHAR(50) NOT NULL, 
	CONSTRAINT trace_tag_pk PRIMARY KEY ("key", request_id), 
	CONSTRAINT fk_trace_tags_request_id FOREIGN KEY(request_id) REFERENCES trace_info (request_id) ON DELETE CASCADE
);
CREATE TABLE webhook_events (
	webhook_id VARCHAR(256) NOT NULL, 
	entity VARCHAR(50) NOT NULL, 
	action VARCHAR(50) NOT NULL, 
	CONSTRAINT webhook_event_pk PRIMARY KEY (webhook_id, entity, action), 
	FOREIGN KEY(webhook_id) REFERENCES webhooks (webhook_id) ON DELETE cascade
);
CREATE TABLE "webhooks" (
	webhook_id VARCHAR(256) NOT NULL, 
	name VARCHAR(256) NOT NULL, 
	description VARCHAR(1000), 
	url VARCHAR(500) NOT NULL, 
	status VARCHAR(20) DEFAULT 'ACTIVE' NOT NULL, 
	secret VARCHAR(1000), 
	creation_timestamp BIGINT, 
	last_updated_timestamp BIGINT, 
	deleted_timestamp BIGINT, 
	workspace VARCHAR(63) DEFAULT 'default' NOT NULL, 
	CONSTRAINT webhook_pk PRIMARY KEY (webhook_id)
);
CREATE TABLE workspaces (
	name VARCHAR(63) NOT NULL, 
	description TEXT, 
	default_artifact_root TEXT, trace_archival_location TEXT, trace_archival_retention VARCHAR(32), 
	CONSTRAINT workspaces_pk PRIMARY KEY (name)
);
INSERT INTO "workspaces" VALUES('default','Default workspace for legacy resources',NULL,NULL,NULL);
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_inputs_destination_type_destination_id_source_type ON inputs (destination_type, destination_id, source_type);
CREATE INDEX index_inputs_input_uuid ON inputs (input_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
CREATE INDEX index_trace_tags_request_id ON trace_tags (request_id);
CREATE INDEX index_trace_request_metadata_request_id ON trace_request_metadata (request_id);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX index_datasets_dataset_uuid ON datasets (dataset_uuid);
CREATE INDEX index_datasets_experiment_id_dataset_source_type ON datasets (experiment_id, dataset_source_type);
CREATE INDEX index_logged_model_metrics_model_id ON logged_model_metrics (model_id);
CREATE INDEX index_entity_associations_association_id ON entity_associations (association_id);
CREATE INDEX index_entity_associations_reverse_lookup ON entity_associations (destination_type, destination_id, source_type, source_id);
CREATE INDEX idx_webhook_events_entity ON webhook_events (entity);
CREATE INDEX idx_webhook_events_action ON webhook_events (action);
CREATE INDEX idx_webhook_events_entity_action ON webhook_events (entity, action);
CREATE UNIQUE INDEX index_scorers_experiment_id_scorer_name ON scorers (experiment_id, scorer_name);
CREATE INDEX index_scorer_versions_scorer_id ON scorer_versions (scorer_id);
CREATE INDEX index_evaluation_dataset_tags_dataset_id ON evaluation_dataset_tags (dataset_id);
CREATE INDEX index_evaluation_dataset_records_dataset_id ON evaluation_dataset_records (dataset_id);
CREATE INDEX index_endpoint_model_mappings_endpoint_id ON endpoint_model_mappings (endpoint_id);
CREATE INDEX index_endpoint_model_mappings_model_definition_id ON endpoint_model_mappings (model_definition_id);
CREATE INDEX index_endpoint_tags_endpoint_id ON endpoint_tags (endpoint_id);
CREATE INDEX index_trace_metrics_request_id ON trace_metrics (request_id);
CREATE UNIQUE INDEX unique_endpoint_model_linkage_mapping ON endpoint_model_mappings (endpoint_id, model_definition_id, linkage_type);
CREATE INDEX index_span_metrics_trace_id_span_id ON span_metrics (trace_id, span_id);
CREATE INDEX index_evaluation_datasets_created_time ON evaluation_datasets (created_time);
CREATE INDEX index_evaluation_datasets_name ON evaluation_datasets (name);
CREATE INDEX idx_webhooks_status ON webhooks (status);
CREATE INDEX idx_webhooks_name ON webhooks (name);
CREATE TRIGGER prevent_secrets_aad_mutation
BEFORE UPDATE ON secrets
FOR EACH ROW
WHEN OLD.secret_id != NEW.secret_id OR OLD.secret_name != NEW.secret_name
BEGIN
    SELECT RAISE(ABORT, 'secret_id and secret_name are immutable (used as AAD in encryption)');
END;
CREATE INDEX index_model_definitions_secret_id ON model_definitions (secret_id);
CREATE INDEX index_model_definitions_provider ON model_definitions (provider);
CREATE INDEX index_jobs_name_status_creation_time ON jobs (job_name, workspace, status, creation_time);
CREATE INDEX idx_experiments_workspace ON experiments (workspace);
CREATE INDEX idx_registered_models_workspace ON registered_models (workspace);
CREATE INDEX idx_experiments_workspace_creation_time ON experiments (workspace, creation_time);
CREATE INDEX idx_evaluation_datasets_workspace ON evaluation_datasets (workspace);
CREATE INDEX idx_webhooks_workspace ON webhooks (workspace);
CREATE INDEX idx_secrets_workspace ON secrets (workspace);
CREATE INDEX idx_endpoints_workspace ON endpoints (workspace);
CREATE INDEX idx_model_definitions_workspace ON model_definitions (workspace);
CREATE INDEX idx_budget_policies_workspace ON budget_policies (workspace);
CREATE INDEX index_issues_experiment_id ON issues (experiment_id);
CREATE INDEX index_issues_source_run_id ON issues (source_run_id);
CREATE INDEX index_issues_status ON issues (status);
CREATE INDEX index_metrics_run_uuid_key_step ON metrics (run_uuid, "key", step);
CREATE INDEX idx_guardrails_workspace ON guardrails (workspace);
CREATE INDEX idx_guardrails_scorer ON guardrails (scorer_id, scorer_version);
CREATE INDEX idx_guardrail_configs_endpoint_id ON guardrail_configs (endpoint_id);
CREATE INDEX idx_guardrail_configs_guardrail_id ON guardrail_configs (guardrail_id);
CREATE INDEX idx_model_version_tags_workspace_name_version ON model_version_tags (workspace, name, version);
CREATE INDEX idx_registered_model_tags_workspace_name ON registered_model_tags (workspace, name);
CREATE INDEX index_label_schemas_experiment_id ON label_schemas (experiment_id);
CREATE INDEX index_review_queues_experiment_id ON review_queues (experiment_id);
CREATE INDEX index_review_queue_users_user_id ON review_queue_users (user_id);
CREATE INDEX index_review_queue_items_queue_id_status ON review_queue_items (queue_id, status);
CREATE INDEX index_review_queue_items_item_id ON review_queue_items (item_id);
CREATE INDEX index_review_queue_label_schemas_schema_id ON review_queue_label_schemas (schema_id);
CREATE INDEX idx_mcp_server_versions_latest ON mcp_server_versions (workspace, name, status, version_major DESC, version_minor DESC, version_patch DESC);
CREATE INDEX ix_mcp_access_endpoints_server_name ON mcp_access_endpoints (workspace, server_name);
CREATE INDEX ix_mcp_access_endpoints_version ON mcp_access_endpoints (workspace, server_name, server_version);
CREATE INDEX ix_mcp_access_endpoints_alias ON mcp_access_endpoints (workspace, server_name, server_alias);
CREATE INDEX idx_budget_policies_target_value ON budget_policies (target_value);
CREATE INDEX index_trace_info_experiment_id_timestamp_ms ON trace_info (experiment_id, timestamp_ms);
CREATE INDEX index_trace_info_timestamp_ms_request_id ON trace_info (timestamp_ms, request_id);
CREATE INDEX index_assessments_run_id_created_timestamp ON assessments (run_id, created_timestamp);
CREATE INDEX index_assessments_assessment_type ON assessments (assessment_type);
CREATE INDEX index_assessments_trace_id_created_timestamp ON assessments (trace_id, created_timestamp);
CREATE INDEX index_assessments_last_updated_timestamp ON assessments (last_updated_timestamp);
CREATE INDEX index_spans_experiment_id_status_type ON spans (experiment_id, status, type);
CREATE INDEX index_spans_experiment_id_start_time ON spans (experiment_id, start_time_unix_nano);
CREATE INDEX index_spans_experiment_id_type_status ON spans (experiment_id, type, status);
CREATE INDEX index_spans_experiment_id_duration ON spans (experiment_id, duration_ns);
CREATE INDEX index_trace_info_experiment_id_session_id ON trace_info (experiment_id, session_id);
CREATE INDEX idx_trace_rollups_lookup ON sql_trace_metric_daily_rollups (experiment_id, rollup_day, metric_name, grouping_set, trace_status);
CREATE INDEX idx_span_cost_rollups_lookup ON sql_span_cost_daily_rollups (experiment_id, rollup_day, metric_name, grouping_set, model_name, model_provider);
CREATE INDEX idx_assessment_rollups_lookup ON sql_assessment_daily_rollups (experiment_id, rollup_day, metric_name, grouping_set);
CREATE INDEX idx_spans_cost_trace_time_cover ON spans (trace_id, start_time_unix_nano);
CREATE INDEX idx_spans_cost_exp_time_cover ON spans (experiment_id, start_time_unix_nano);
CREATE INDEX idx_assessments_exp_trace_ts ON assessments (experiment_id, trace_timestamp_ms);
CREATE INDEX idx_assessments_exp_trace_ts_name ON assessments (experiment_id, trace_timestamp_ms, name);
CREATE INDEX idx_assessments_exp_name_valid ON assessments (experiment_id, name, valid);
CREATE INDEX index_job_locks_job_id ON job_locks (job_id);
CREATE INDEX index_jobs_status_lease_expires_at ON jobs (status, lease_expires_at);
COMMIT;
