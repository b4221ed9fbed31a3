BEGIN TRANSACTION;
CREATE TABLE accounts (
	kind VARCHAR(8) NOT NULL, 
	owner VARCHAR(63) NOT NULL, 
	epsilon_limit_nano BIGINT NOT NULL, 
	delta_limit_atto BIGINT NOT NULL, 
	rho_limit_nano BIGINT NOT NULL, 
	delta_keys_limit_atto BIGINT NOT NULL, 
	unbounded_reserved INTEGER NOT NULL, 
	unbounded_spent INTEGER NOT NULL, 
	epsilon_reserved_nano BIGINT NOT NULL, 
	epsilon_spent_nano BIGINT NOT NULL, 
	rho_reserved_nano BIGINT NOT NULL, 
	rho_spent_nano BIGINT NOT NULL, 
	delta_reserved_atto BIGINT NOT NULL, 
	delta_spent_atto BIGINT NOT NULL, 
	CONSTRAINT pk_accounts PRIMARY KEY (kind, owner), 
	CONSTRAINT ck_accounts_kind CHECK (kind IN ('study', 'dataset')), 
	CONSTRAINT ck_accounts_sums CHECK (epsilon_reserved_nano >= 0 AND epsilon_spent_nano >= 0 AND rho_reserved_nano >= 0 AND rho_spent_nano >= 0 AND delta_reserved_atto >= 0 AND delta_spent_atto >= 0 AND unbounded_reserved >= 0 AND unbounded_spent >= 0), 
	CONSTRAINT ck_accounts_filter CHECK ((unbounded_reserved + unbounded_spent = 0 AND epsilon_reserved_nano + epsilon_spent_nano <= epsilon_limit_nano) OR rho_reserved_nano + rho_spent_nano <= rho_limit_nano), 
	CONSTRAINT ck_accounts_delta CHECK (delta_reserved_atto + delta_spent_atto <= delta_keys_limit_atto)
);
INSERT INTO "accounts" VALUES('dataset','clinic',100000000000,1000000000000,48688410313,500000000000,0,1,0,6771003416,0,3203354762,0,858817684);
INSERT INTO "accounts" VALUES('study','flu',40000000000,100000000000,12406784648,50000000000,0,1,0,4896003416,0,2842863690,0,858817684);
INSERT INTO "accounts" VALUES('study','small',2000000000,1000000000000,83441717,500000000000,0,0,0,875000000,0,289062500,0,0);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0010');
CREATE TABLE audit_entries (
	position INTEGER NOT NULL, 
	leaf_hash VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	action VARCHAR(63) NOT NULL, 
	study VARCHAR(63), 
	CONSTRAINT pk_audit_entries PRIMARY KEY (position)
);
INSERT INTO "audit_entries" VALUES(0,'c657b78a2dd30bb537a12bc66586a98b845f5d00f4d47e7d3962e4caa21312a1','{"action":"user.add","actor":"system","facts":{"role":"admin"},"index":0,"previous":"0000000000000000000000000000000000000000000000000000000000000000","role":"system","study":null,"subject":"user:3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","summary":"a user of the role admin was added","time":"2026-11-29T01:19:16.509Z"}','2026-11-29T01:19:16.509Z','system','user.add',NULL);
INSERT INTO "audit_entries" VALUES(1,'c87b2e799a8715920376864d89f4ff9b48adfec8588b34d8c45c1b330f30abde','{"action":"token.new","actor":"system","facts":{"token":"2d9101e5009ed00ab44b88af86df59d9"},"index":1,"previous":"c657b78a2dd30bb537a12bc66586a98b845f5d00f4d47e7d3962e4caa21312a1","role":"system","study":null,"subject":"user:3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","summary":"a token was made","time":"2026-11-29T01:19:16.514Z"}','2026-11-29T01:19:16.514Z','system','token.new',NULL);
INSERT INTO "audit_entries" VALUES(2,'d80706fd1da3dea66a7744a12a5ce841bb2a18bbd3159067c63a455933f40250','{"action":"user.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"role":"dpo"},"index":2,"previous":"c87b2e799a8715920376864d89f4ff9b48adfec8588b34d8c45c1b330f30abde","role":"admin","study":null,"subject":"user:8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","summary":"a user of the role dpo was added","time":"2026-11-29T01:19:19.159Z"}','2026-11-29T01:19:19.159Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','user.add',NULL);
INSERT INTO "audit_entries" VALUES(3,'16cd4f9d0ec04e8679175d829b10b497266b51bba928b2e948915c46df21893d','{"action":"token.new","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"token":"453fd272fc764535a8948ffa78cd3a92"},"index":3,"previous":"d80706fd1da3dea66a7744a12a5ce841bb2a18bbd3159067c63a455933f40250","role":"admin","study":null,"subject":"user:8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","summary":"a token was made","time":"2026-11-29T01:19:19.163Z"}','2026-11-29T01:19:19.163Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','token.new',NULL);
INSERT INTO "audit_entries" VALUES(4,'9c2217fd498278c636c030fa948580c2e42fb300d9fb90266607fa71990dd6ef','{"action":"user.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"role":"researcher"},"index":4,"previous":"16cd4f9d0ec04e8679175d829b10b497266b51bba928b2e948915c46df21893d","role":"admin","study":null,"subject":"user:3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","summary":"a user of the role researcher was added","time":"2026-11-29T01:19:21.505Z"}','2026-11-29T01:19:21.505Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','user.add',NULL);
INSERT INTO "audit_entries" VALUES(5,'4313ca8c40869a255145bb65ec1085783e8a2b0badf361785e4a2586c7fbaed3','{"action":"token.new","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"token":"bf77ae6ac323b8bb5d5d4cbcbd70bd71"},"index":5,"previous":"9c2217fd498278c636c030fa948580c2e42fb300d9fb90266607fa71990dd6ef","role":"admin","study":null,"subject":"user:3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","summary":"a token was made","time":"2026-11-29T01:19:21.507Z"}','2026-11-29T01:19:21.507Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','token.new',NULL);
INSERT INTO "audit_entries" VALUES(6,'1cdfed34b5cd61d5de116c24759d105cc4f1e40be7af2d142f82063a379f026d','{"action":"user.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"role":"researcher"},"index":6,"previous":"4313ca8c40869a255145bb65ec1085783e8a2b0badf361785e4a2586c7fbaed3","role":"admin","study":null,"subject":"user:2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","summary":"a user of the role researcher was added","time":"2026-11-29T01:19:23.749Z"}','2026-11-29T01:19:23.749Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','user.add',NULL);
INSERT INTO "audit_entries" VALUES(7,'92cc03c1b9a31ffbd5d09c70180bb61155bb371cfc4a493f583474d01a13e314','{"action":"token.new","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"token":"c4ede49cdc7ff402909d81ef587e1ec7"},"index":7,"previous":"1cdfed34b5cd61d5de116c24759d105cc4f1e40be7af2d142f82063a379f026d","role":"admin","study":null,"subject":"user:2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","summary":"a token was made","time":"2026-11-29T01:19:23.753Z"}','2026-11-29T01:19:23.753Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','token.new',NULL);
INSERT INTO "audit_entries" VALUES(8,'97c7b05eee32e132fca9291b3243cb876ffbb895720c20fb6acabd94dd656982','{"action":"user.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"role":"dpo"},"index":8,"previous":"92cc03c1b9a31ffbd5d09c70180bb61155bb371cfc4a493f583474d01a13e314","role":"admin","study":null,"subject":"user:28d889699696a30c50a4a6b6483386672c1f56ff41f780d5a4e9e09ff61fe35d","summary":"a user of the role dpo was added","time":"2026-11-29T01:19:25.971Z"}','2026-11-29T01:19:25.971Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','user.add',NULL);
INSERT INTO "audit_entries" VALUES(9,'bb0633cbf356455a4c50479198ebd19da3253c8df98df78c95a760e3511722e6','{"action":"token.new","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"token":"4226080ace854516b07e53e8be276860"},"index":9,"previous":"97c7b05eee32e132fca9291b3243cb876ffbb895720c20fb6acabd94dd656982","role":"admin","study":null,"subject":"user:28d889699696a30c50a4a6b6483386672c1f56ff41f780d5a4e9e09ff61fe35d","summary":"a token was made","time":"2026-11-29T01:19:25.974Z"}','2026-11-29T01:19:25.974Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','token.new',NULL);
INSERT INTO "audit_entries" VALUES(10,'6c5ae5bf79109ed0cee6034b2306c7dc694d35e3e969b259849db428d4951f67','{"action":"dataset.import","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"cap":{"delta_atto":1000000000000,"epsilon_nano":100000000000},"edition":1},"index":10,"previous":"bb0633cbf356455a4c50479198ebd19da3253c8df98df78c95a760e3511722e6","role":"admin","study":null,"subject":"dataset:clinic","summary":"edition 1 of clinic was imported","time":"2026-11-29T01:19:29.839Z"}','2026-11-29T01:19:29.839Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','dataset.import',NULL);
INSERT INTO "audit_entries" VALUES(11,'dc1752b0dafad21519793632e22c7bf953dbc688825fb0316b83b065fd5cb5f5','{"action":"dataset.profile.reserve","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"dataset":"clinic","edition":1,"fingerprint":"87fef489511a670c2958c8469ef187c29191dcb7999affb11a764c568a252724","histograms":7,"loss":{"delta_atto":0,"epsilon_nano":1000000000,"rho_nano":71428572}},"index":11,"previous":"6c5ae5bf79109ed0cee6034b2306c7dc694d35e3e969b259849db428d4951f67","role":"admin","study":null,"subject":"054e37b5e4ec47a79a79c7cff21883c7","summary":"epsilon 1 (rho 0.071428572) was reserved","time":"2026-11-29T01:19:30.072Z"}','2026-11-29T01:19:30.072Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','dataset.profile.reserve',NULL);
INSERT INTO "audit_entries" VALUES(12,'3f6fd8d458257c1b50112fffcb5cac4b8e32b57960ff519f9f0f3f7f8684d901','{"action":"dataset.profile.release","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"charge":"054e37b5e4ec47a79a79c7cff21883c7","dataset":"clinic","edition":1,"fingerprint":"87fef489511a670c2958c8469ef187c29191dcb7999affb11a764c568a252724","histograms":7,"loss":{"delta_atto":0,"epsilon_nano":1000000000,"rho_nano":71428572}},"index":12,"previous":"dc1752b0dafad21519793632e22c7bf953dbc688825fb0316b83b065fd5cb5f5","role":"admin","study":null,"subject":"3e599e6f87ee42d4b6afa0db2b24ec7f","summary":"a profile of epsilon 1 (rho 0.071428572) was made","time":"2026-11-29T01:19:30.196Z"}','2026-11-29T01:19:30.196Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','dataset.profile.release',NULL);
INSERT INTO "audit_entries" VALUES(13,'0a623901b2d8e2898cb2e44eba15e016b385167b4273527a35390396035cb8c3','{"action":"study.open","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"budget":{"delta_atto":100000000000,"epsilon_nano":40000000000},"dataset":"clinic","terms":{"ends":null,"legal_basis":"article 6(1)(e)","protocol":{},"purpose":"to learn","starts":null,"title":"Flu"}},"index":13,"previous":"3f6fd8d458257c1b50112fffcb5cac4b8e32b57960ff519f9f0f3f7f8684d901","role":"admin","study":"flu","subject":"study:flu","summary":"study flu was opened on clinic","time":"2026-11-29T01:19:34.292Z"}','2026-11-29T01:19:34.292Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','study.open','flu');
INSERT INTO "audit_entries" VALUES(14,'52bd282f43fca185a72ddf3b63656ae67c269ee42922ee2b46494eab9e7b7514','{"action":"study.member.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"user":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a"},"index":14,"previous":"0a623901b2d8e2898cb2e44eba15e016b385167b4273527a35390396035cb8c3","role":"admin","study":"flu","subject":"study:flu","summary":"a member was added","time":"2026-11-29T01:19:34.305Z"}','2026-11-29T01:19:34.305Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','study.member.add','flu');
INSERT INTO "audit_entries" VALUES(15,'2048e989aa62f7a8f36754db33fb8a66a21ba6ef39789903a49620a564155a5d','{"action":"study.approve","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"budget":{"delta_atto":100000000000,"epsilon_nano":40000000000},"from":"draft","reason":"it may","terms":{"ends":null,"legal_basis":"article 6(1)(e)","protocol":{},"purpose":"to learn","starts":null,"title":"Flu"},"to":"approved"},"index":15,"previous":"52bd282f43fca185a72ddf3b63656ae67c269ee42922ee2b46494eab9e7b7514","role":"dpo","study":"flu","subject":"study:flu","summary":"study flu went from draft to approved","time":"2026-11-29T01:19:38.172Z"}','2026-11-29T01:19:38.172Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.approve','flu');
INSERT INTO "audit_entries" VALUES(16,'5b75ad252b5868f3c5fc741421e7312f9ed5a5a944fac7413f11dac6dd0311c0','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61","loss":{"delta_atto":0,"epsilon_nano":1000000000,"rho_nano":500000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","group_by":["sex"],"select":{"patients":{"count":"persons"}}}},"index":16,"previous":"2048e989aa62f7a8f36754db33fb8a66a21ba6ef39789903a49620a564155a5d","role":"researcher","study":"flu","subject":"41dede78d50c402ba2708eaedbeea103","summary":"epsilon 1 (rho 0.5) was reserved","time":"2026-11-29T01:19:42.010Z"}','2026-11-29T01:19:42.010Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(17,'e0ceb8c381dc668baa9b8f644fd55d537d72b8a6921cc116a61076c20e4847b6','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"2c2832a08a9ed7af68dfc9be0f9bc5bbd97d5a5dfe182bfdd4dec934ea567ea5","charge":"41dede78d50c402ba2708eaedbeea103","charged_at":"2026-11-29T01:19:42.002Z","dataset":"clinic","edition":1,"fingerprint":"58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61","loss":{"delta_atto":0,"epsilon_nano":1000000000,"rho_nano":500000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","group_by":["sex"],"select":{"patients":{"count":"persons"}}}},"index":17,"previous":"5b75ad252b5868f3c5fc741421e7312f9ed5a5a944fac7413f11dac6dd0311c0","role":"researcher","study":"flu","subject":"79febe4c4462459ca924bcd04ba19be3","summary":"a release of epsilon 1 (rho 0.5) was made","time":"2026-11-29T01:19:43.062Z"}','2026-11-29T01:19:43.062Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(18,'c2619b86d76af795aaa609c7bd352292c92300be3203cb841823c435deda545d','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"4ef360a720c9c2a671da29ff0b1909652ae6678130aa6ba93b95d418b63f65a9","loss":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":40955191},"mechanisms":["discrete_laplace","discrete_laplace","discrete_laplace"],"query":{"from":"visits","select":{"age":{"at":0.5,"quantile":"age"},"cost":{"mean":"cost"}},"where":{"column":"urgent","op":"=","value":true}}},"index":18,"previous":"e0ceb8c381dc668baa9b8f644fd55d537d72b8a6921cc116a61076c20e4847b6","role":"researcher","study":"flu","subject":"315590ce11074a87b6b31832b21dc810","summary":"epsilon 0.5 (rho 0.040955191) was reserved","time":"2026-11-29T01:19:47.949Z"}','2026-11-29T01:19:47.949Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(19,'5f5c0c8fdd3abf5922665166f27dd1c4a61ae115775ebad108a1b7bedf2f2633','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"05e58cd82406c2d9300007772d57730c2d782bf338472cfc422d5c309ebd34c8","charge":"315590ce11074a87b6b31832b21dc810","charged_at":"2026-11-29T01:19:47.942Z","dataset":"clinic","edition":1,"fingerprint":"4ef360a720c9c2a671da29ff0b1909652ae6678130aa6ba93b95d418b63f65a9","loss":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":40955191},"mechanisms":["discrete_laplace","discrete_laplace","discrete_laplace"],"query":{"from":"visits","select":{"age":{"at":0.5,"quantile":"age"},"cost":{"mean":"cost"}},"where":{"column":"urgent","op":"=","value":true}}},"index":19,"previous":"c2619b86d76af795aaa609c7bd352292c92300be3203cb841823c435deda545d","role":"researcher","study":"flu","subject":"10777f4a7ef444ae97d53caea621eaf6","summary":"a release of epsilon 0.5 (rho 0.040955191) was made","time":"2026-11-29T01:19:49.156Z"}','2026-11-29T01:19:49.156Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(20,'f395c5b39296d278e634bbeebfdda8b1fdd934ce8b0db2c9d5ac201515c33d37','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"ec03555d00c3e8240ee252886537f856188149e85865846ae16074a306337981","loss":{"delta_atto":0,"epsilon_nano":null,"rho_nano":10000000},"mechanisms":["discrete_gaussian","discrete_gaussian"],"query":{"from":"visits","select":{"ages":{"bins":[0,18,40,65],"histogram":"age"},"n":{"count":"events"}}}},"index":20,"previous":"5f5c0c8fdd3abf5922665166f27dd1c4a61ae115775ebad108a1b7bedf2f2633","role":"researcher","study":"flu","subject":"98a42e5ab7d3470c8e6cb4c045a15f8e","summary":"rho 0.01 was reserved","time":"2026-11-29T01:19:54.605Z"}','2026-11-29T01:19:54.605Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(21,'edb73e8b19fada76f6ce395377e3700e460831972481e30b2b34c7d9a34c5988','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"3ef15a7c7d906624a6110cacc1867369c15866554bf6525336bfef551a525aa9","charge":"98a42e5ab7d3470c8e6cb4c045a15f8e","charged_at":"2026-11-29T01:19:54.603Z","dataset":"clinic","edition":1,"fingerprint":"ec03555d00c3e8240ee252886537f856188149e85865846ae16074a306337981","loss":{"delta_atto":0,"epsilon_nano":null,"rho_nano":10000000},"mechanisms":["discrete_gaussian","discrete_gaussian"],"query":{"from":"visits","select":{"ages":{"bins":[0,18,40,65],"histogram":"age"},"n":{"count":"events"}}}},"index":21,"previous":"f395c5b39296d278e634bbeebfdda8b1fdd934ce8b0db2c9d5ac201515c33d37","role":"researcher","study":"flu","subject":"3898943393b9449f9a6d1387dcc09cde","summary":"a release of rho 0.01 was made","time":"2026-11-29T01:19:55.853Z"}','2026-11-29T01:19:55.853Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(22,'0845ee170b602fc7aa81e39ad8f66008393e5cb1226a3ef7402fb73bc1090fda','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"996503f69876c30cb309cfcfad353a6789b65a240f626e50be670ef6ce8474f4","loss":{"delta_atto":858817684,"epsilon_nano":3000000000,"rho_nano":2250000000},"mechanisms":["discrete_laplace_threshold","discrete_laplace"],"query":{"bounds":{"cells_per_person":3},"from":"visits","group_by":["code"],"select":{"patients":{"count":"persons"}}},"threshold":44},"index":22,"previous":"edb73e8b19fada76f6ce395377e3700e460831972481e30b2b34c7d9a34c5988","role":"researcher","study":"flu","subject":"8bc0ebdf8443464aaf6e0ceb3dd38ecb","summary":"epsilon 3 (rho 2.25) and delta 8.58817684e-10 was reserved","time":"2026-11-29T01:20:01.326Z"}','2026-11-29T01:20:01.326Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(23,'71c12f7d824d1a2defa7d6299f38e698f823527097dee1755c87749d751aa646','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"2a967cdeffc98cbc35b90b25cf663472a7200d690adbcdff8ecae5f733da231b","charge":"8bc0ebdf8443464aaf6e0ceb3dd38ecb","charged_at":"2026-11-29T01:20:01.324Z","dataset":"clinic","edition":1,"fingerprint":"996503f69876c30cb309cfcfad353a6789b65a240f626e50be670ef6ce8474f4","loss":{"delta_atto":858817684,"epsilon_nano":3000000000,"rho_nano":2250000000},"mechanisms":["discrete_laplace_threshold","discrete_laplace"],"query":{"bounds":{"cells_per_person":3},"from":"visits","group_by":["code"],"select":{"patients":{"count":"persons"}}},"threshold":44},"index":23,"previous":"0845ee170b602fc7aa81e39ad8f66008393e5cb1226a3ef7402fb73bc1090fda","role":"researcher","study":"flu","subject":"039a218697324b51822d7f99ee33c744","summary":"a release of epsilon 3 (rho 2.25) and delta 8.58817684e-10 was made","time":"2026-11-29T01:20:03.691Z"}','2026-11-29T01:20:03.691Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(24,'4b24a243349720cc51b3b8449be8b3617a5cf4348d6a9d19a267b07ed21fed73','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"43ad0a778eedbcd1aad62f58e52fe126b60195dfb56b07e448a2bdc10e4aeca0","loss":{"delta_atto":0,"epsilon_nano":146003416,"rho_nano":10658499},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"patients":{"count":"persons"}}}},"index":24,"previous":"71c12f7d824d1a2defa7d6299f38e698f823527097dee1755c87749d751aa646","role":"researcher","study":"flu","subject":"b46c2a248a4446ebae76898622c9f238","summary":"epsilon 0.146003416 (rho 0.010658499) was reserved","time":"2026-11-29T01:20:06.654Z"}','2026-11-29T01:20:06.654Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(25,'3cf3d28d7b0a1595c55310a96373308d098e4f4e6bf6bafb7e76c88f7d2781c4','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"ea44fbac152ac3ba0817d8ac6530c4dedbd58e7a97a1c0b1168463a1364bfd48","charge":"b46c2a248a4446ebae76898622c9f238","charged_at":"2026-11-29T01:20:06.652Z","dataset":"clinic","edition":1,"fingerprint":"43ad0a778eedbcd1aad62f58e52fe126b60195dfb56b07e448a2bdc10e4aeca0","loss":{"delta_atto":0,"epsilon_nano":146003416,"rho_nano":10658499},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"patients":{"count":"persons"}}}},"index":25,"previous":"4b24a243349720cc51b3b8449be8b3617a5cf4348d6a9d19a267b07ed21fed73","role":"researcher","study":"flu","subject":"7eab586cde3e482eb4d1a07629b41bf9","summary":"a release of epsilon 0.146003416 (rho 0.010658499) was made","time":"2026-11-29T01:20:07.269Z"}','2026-11-29T01:20:07.269Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(26,'13ce3c6cea8cafb1de966816df4c24f28843b4e67fb4dc65998d6e7cc3504a58','{"action":"query.estimate","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"b96384baa81325248989c83e4daa0af6031a4ac5e2e17ca05637a11e01f328f8","loss":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":125000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"s":{"sum":"cost"}}}},"index":26,"previous":"3cf3d28d7b0a1595c55310a96373308d098e4f4e6bf6bafb7e76c88f7d2781c4","role":"researcher","study":"flu","subject":"study:flu","summary":"a query of epsilon 0.5 (rho 0.125) was estimated","time":"2026-11-29T01:20:10.084Z"}','2026-11-29T01:20:10.084Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.estimate','flu');
INSERT INTO "audit_entries" VALUES(27,'31fefbd1b244744809016653175a0172d26db0ec673b289f8bfba8826ffbcc74','{"action":"query.rehearse","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"b96384baa81325248989c83e4daa0af6031a4ac5e2e17ca05637a11e01f328f8","loss":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":125000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"s":{"sum":"cost"}}}},"index":27,"previous":"13ce3c6cea8cafb1de966816df4c24f28843b4e67fb4dc65998d6e7cc3504a58","role":"researcher","study":"flu","subject":"study:flu","summary":"a query of epsilon 0.5 (rho 0.125) was rehearsed on made-up data","time":"2026-11-29T01:20:13.337Z"}','2026-11-29T01:20:13.337Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.rehearse','flu');
INSERT INTO "audit_entries" VALUES(28,'1e21687585c74e16b5ba4f36fd998ae945deab2aaa70a22bc5c2f9844e40a75c','{"action":"query.replay","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61","loss":{"delta_atto":0,"epsilon_nano":1000000000,"rho_nano":500000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","group_by":["sex"],"select":{"patients":{"count":"persons"}}}},"index":28,"previous":"31fefbd1b244744809016653175a0172d26db0ec673b289f8bfba8826ffbcc74","role":"researcher","study":"flu","subject":"79febe4c4462459ca924bcd04ba19be3","summary":"a stored release was read again","time":"2026-11-29T01:20:16.629Z"}','2026-11-29T01:20:16.629Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.replay','flu');
INSERT INTO "audit_entries" VALUES(29,'7012b6495055c9cfb3d00ac47b756be42f833dec5f9cd42c0d091104f8be9beb','{"action":"query.refuse","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"code":"budget-exceeded","dataset":"clinic","edition":1,"fingerprint":"b2ba633c2357ee8c0d957b55a5af6511d0bd6de59d76525d18e9ea63a26f2419","loss":{"delta_atto":0,"epsilon_nano":50000000000,"rho_nano":1250000000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":29,"previous":"1e21687585c74e16b5ba4f36fd998ae945deab2aaa70a22bc5c2f9844e40a75c","role":"researcher","study":"flu","subject":"study","summary":"a query of epsilon 50 (rho 1250) was refused: the study''s budget","time":"2026-11-29T01:20:19.734Z"}','2026-11-29T01:20:19.734Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.refuse','flu');
INSERT INTO "audit_entries" VALUES(30,'dc98c09c828ab415fa1f2a5ac09657c7ec54f94f7e3c8ec1862aea2256e27f50','{"action":"release.read","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"form":"certificate","post":[]},"index":30,"previous":"7012b6495055c9cfb3d00ac47b756be42f833dec5f9cd42c0d091104f8be9beb","role":"admin","study":"flu","subject":"79febe4c4462459ca924bcd04ba19be3","summary":"a release was read as certificate","time":"2026-11-29T01:20:28.563Z"}','2026-11-29T01:20:28.563Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','release.read','flu');
INSERT INTO "audit_entries" VALUES(31,'1fecc1794a0a252b9fe7decfa04764043498def81efb9a55f922f2bcfb4d3dbe','{"action":"audit.key.name","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"before":"rowless-23c48324+a240f314+AQTEKQ3jXG0NxLXJmYzNxqq3TBGaF0QbsKdorFl2b8Qf","key":"rowless-23c48324+6b4a58ae+AYdnw+I8G8cyPox76/Et8+TOji2V9OppKS7mJQAlhzhI"},"index":31,"previous":"dc98c09c828ab415fa1f2a5ac09657c7ec54f94f7e3c8ec1862aea2256e27f50","role":"admin","study":null,"subject":"audit","summary":"a new key signs the audit log from here on","time":"2026-11-29T01:20:31.524Z"}','2026-11-29T01:20:31.524Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','audit.key.name',NULL);
INSERT INTO "audit_entries" VALUES(32,'0d4f76e953a5abf95971e7dd1bd384e2b6d2dd707990b7469b986d0b4bb327c2','{"action":"audit.key.sign","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"checkpoint":"rowless-23c48324\n32\nUvE56CSc2ifKG7cA+wKzQW0f6/DtpwyBS0FJ9nh4L3k=\n\n— rowless-23c48324 okDzFBgQ4YfyQwDDxFZVgUSNyRjaTFjnUeE8kGkgGt786a2XS/uNWY5UT+x6GMp1dUtIl2vkF0/jfS4Dv5cfxpp5Kg4=\n"},"index":32,"previous":"1fecc1794a0a252b9fe7decfa04764043498def81efb9a55f922f2bcfb4d3dbe","role":"admin","study":null,"subject":"audit","summary":"the key before signed for the new one","time":"2026-11-29T01:20:31.561Z"}','2026-11-29T01:20:31.561Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','audit.key.sign',NULL);
INSERT INTO "audit_entries" VALUES(33,'0eba56b1214afb5d87f0ab9c0b646d289c33d3c005c1271d1b45dc35322b0478','{"action":"study.open","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"budget":{"delta_atto":1000000000000,"epsilon_nano":1000000000},"dataset":"clinic","terms":{"ends":null,"legal_basis":"article 6(1)(e)","protocol":{"epsilon_nano_max":750000000,"tables":["visits"]},"purpose":"to learn","starts":null,"title":"Small"}},"index":33,"previous":"0d4f76e953a5abf95971e7dd1bd384e2b6d2dd707990b7469b986d0b4bb327c2","role":"admin","study":"small","subject":"study:small","summary":"study small was opened on clinic","time":"2026-11-29T01:20:35.516Z"}','2026-11-29T01:20:35.516Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','study.open','small');
INSERT INTO "audit_entries" VALUES(34,'9883290df11212f1516b63060431c705517bb6496fdf2a5fa8228792f75a89f3','{"action":"study.member.add","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"user":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef"},"index":34,"previous":"0eba56b1214afb5d87f0ab9c0b646d289c33d3c005c1271d1b45dc35322b0478","role":"admin","study":"small","subject":"study:small","summary":"a member was added","time":"2026-11-29T01:20:35.522Z"}','2026-11-29T01:20:35.522Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','study.member.add','small');
INSERT INTO "audit_entries" VALUES(35,'9f90d28bf033d789fbd5818eaa88b0a69644da07a0944c8c58f9219d77abc315','{"action":"study.approve","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"budget":{"delta_atto":1000000000000,"epsilon_nano":1000000000},"from":"draft","reason":"it may","terms":{"ends":null,"legal_basis":"article 6(1)(e)","protocol":{"epsilon_nano_max":750000000,"tables":["visits"]},"purpose":"to learn","starts":null,"title":"Small"},"to":"approved"},"index":35,"previous":"9883290df11212f1516b63060431c705517bb6496fdf2a5fa8228792f75a89f3","role":"dpo","study":"small","subject":"study:small","summary":"study small went from draft to approved","time":"2026-11-29T01:20:37.785Z"}','2026-11-29T01:20:37.785Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.approve','small');
INSERT INTO "audit_entries" VALUES(36,'74eb12d7b9227ee4699b40e5ae419aa2f71c34767030a32ae9f4e93ebdc255ec','{"action":"query.reserve","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"dataset":"clinic","edition":1,"fingerprint":"8bbd133b2b0f1daddca01bbbb3cf32e07b2ae3483492773bdd59d76ee51734a9","loss":{"delta_atto":0,"epsilon_nano":750000000,"rho_nano":281250000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","group_by":["urgent"],"select":{"n":{"count":"events"}}}},"index":36,"previous":"9f90d28bf033d789fbd5818eaa88b0a69644da07a0944c8c58f9219d77abc315","role":"researcher","study":"small","subject":"ed8f0811bb924900bcbcb99d4cf2da20","summary":"epsilon 0.75 (rho 0.28125) was reserved","time":"2026-11-29T01:20:40.959Z"}','2026-11-29T01:20:40.959Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.reserve','small');
INSERT INTO "audit_entries" VALUES(37,'12cafe675536a999dfab7802d286fada7a52f717f3fc1d4c3820b5dd45929067','{"action":"alert.budget","actor":"system","facts":{"account":"study","cause":"charge","limits":{"delta_atto":1000000000000,"delta_keys_atto":500000000000,"epsilon_nano":1000000000,"rho_nano":22937446},"owner":"small","percent":75,"threshold":50,"used":{"delta_atto":0,"epsilon_nano":750000000,"rho_nano":281250000}},"index":37,"previous":"74eb12d7b9227ee4699b40e5ae419aa2f71c34767030a32ae9f4e93ebdc255ec","role":"system","study":"small","subject":"study:small","summary":"study small has used 75% of its budget (epsilon 0.75 of 1)","time":"2026-11-29T01:20:40.967Z"}','2026-11-29T01:20:40.967Z','system','alert.budget','small');
INSERT INTO "audit_entries" VALUES(38,'881b7e511b83f3df2dcf1acdc2603f72aa0f4dee10132d222f4eb06b59291aa8','{"action":"query.release","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"answer_sha256":"05b6e0851d7526e15ad6dd6561b0fd0e7a7492e8e409e82bd233d0f4542dc103","charge":"ed8f0811bb924900bcbcb99d4cf2da20","charged_at":"2026-11-29T01:20:40.953Z","dataset":"clinic","edition":1,"fingerprint":"8bbd133b2b0f1daddca01bbbb3cf32e07b2ae3483492773bdd59d76ee51734a9","loss":{"delta_atto":0,"epsilon_nano":750000000,"rho_nano":281250000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","group_by":["urgent"],"select":{"n":{"count":"events"}}}},"index":38,"previous":"12cafe675536a999dfab7802d286fada7a52f717f3fc1d4c3820b5dd45929067","role":"researcher","study":"small","subject":"54a264ea89074f3fb46d50d655fff4d1","summary":"a release of epsilon 0.75 (rho 0.28125) was made","time":"2026-11-29T01:20:42.044Z"}','2026-11-29T01:20:42.044Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.release','small');
INSERT INTO "audit_entries" VALUES(39,'f5736ce5672f2df42f8fb7b5f6228fb58d935b4907994068484b60019c581894','{"action":"query.refuse","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"code":"budget-exceeded","dataset":"clinic","edition":1,"fingerprint":"30d3d43f24f6f638425055e13eef0d2034154b357c6e1e53fb57a9e3b64ab970","loss":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":125000000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":39,"previous":"881b7e511b83f3df2dcf1acdc2603f72aa0f4dee10132d222f4eb06b59291aa8","role":"researcher","study":"small","subject":"study","summary":"a query of epsilon 0.5 (rho 0.125) was refused: the study''s budget","time":"2026-11-29T01:20:46.725Z"}','2026-11-29T01:20:46.725Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.refuse','small');
INSERT INTO "audit_entries" VALUES(40,'f398c7a0f5095a7983a777ff0f0baac951f69b7838cd6250f26c3fa3c366a826','{"action":"alert.budget","actor":"system","facts":{"account":"study","cause":"refusal","cost":{"delta_atto":0,"epsilon_nano":500000000,"rho_nano":125000000},"limits":{"delta_atto":1000000000000,"delta_keys_atto":500000000000,"epsilon_nano":1000000000,"rho_nano":22937446},"owner":"small","percent":75,"threshold":100,"used":{"delta_atto":0,"epsilon_nano":750000000,"rho_nano":281250000}},"index":40,"previous":"f5736ce5672f2df42f8fb7b5f6228fb58d935b4907994068484b60019c581894","role":"system","study":"small","subject":"study:small","summary":"study small has too little budget left for a charge of epsilon 0.5 (rho 0.125), which was refused: used 75% of its budget (epsilon 0.75 of 1)","time":"2026-11-29T01:20:46.735Z"}','2026-11-29T01:20:46.735Z','system','alert.budget','small');
INSERT INTO "audit_entries" VALUES(41,'a97e14d39db70a77a2aa8ce07502903292c1c7e6f78f2f615e8e1199de14b510','{"action":"query.reserve","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"dataset":"clinic","edition":1,"fingerprint":"6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc","loss":{"delta_atto":0,"epsilon_nano":125000000,"rho_nano":7812500},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":41,"previous":"f398c7a0f5095a7983a777ff0f0baac951f69b7838cd6250f26c3fa3c366a826","role":"researcher","study":"small","subject":"7abf405a01f44e9ead58516d3fb6752a","summary":"epsilon 0.125 (rho 0.0078125) was reserved","time":"2026-11-29T01:20:50.239Z"}','2026-11-29T01:20:50.239Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.reserve','small');
INSERT INTO "audit_entries" VALUES(42,'fda397bd41eb0ed23b06d87ad55aadf24d7e32e35a6fc288b2a4b3e2943edd0f','{"action":"alert.budget","actor":"system","facts":{"account":"study","cause":"charge","limits":{"delta_atto":1000000000000,"delta_keys_atto":500000000000,"epsilon_nano":1000000000,"rho_nano":22937446},"owner":"small","percent":87,"threshold":80,"used":{"delta_atto":0,"epsilon_nano":875000000,"rho_nano":289062500}},"index":42,"previous":"a97e14d39db70a77a2aa8ce07502903292c1c7e6f78f2f615e8e1199de14b510","role":"system","study":"small","subject":"study:small","summary":"study small has used 87% of its budget (epsilon 0.875 of 1)","time":"2026-11-29T01:20:50.242Z"}','2026-11-29T01:20:50.242Z','system','alert.budget','small');
INSERT INTO "audit_entries" VALUES(43,'2ccc387b98d7891b5e63558ad824e75e4bed41aeb0d6915ef506c397a60b3793','{"action":"query.void","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"dataset":"clinic","edition":1,"fingerprint":"6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc","loss":{"delta_atto":0,"epsilon_nano":125000000,"rho_nano":7812500},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":43,"previous":"fda397bd41eb0ed23b06d87ad55aadf24d7e32e35a6fc288b2a4b3e2943edd0f","role":"researcher","study":"small","subject":"7abf405a01f44e9ead58516d3fb6752a","summary":"epsilon 0.125 (rho 0.0078125) was given back","time":"2026-11-29T01:20:50.266Z"}','2026-11-29T01:20:50.266Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.void','small');
INSERT INTO "audit_entries" VALUES(44,'04c412eccaeaa9686145b3bb3b8c816f3ef74b78ea55ce45abd89af021476f10','{"action":"query.reserve","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"dataset":"clinic","edition":1,"fingerprint":"6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc","loss":{"delta_atto":0,"epsilon_nano":125000000,"rho_nano":7812500},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":44,"previous":"2ccc387b98d7891b5e63558ad824e75e4bed41aeb0d6915ef506c397a60b3793","role":"researcher","study":"small","subject":"f25e90e4bd094ad494e823ee4d49f237","summary":"epsilon 0.125 (rho 0.0078125) was reserved","time":"2026-11-29T01:20:52.933Z"}','2026-11-29T01:20:52.933Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.reserve','small');
INSERT INTO "audit_entries" VALUES(45,'09a9522f5e977ceef91163a2a56e391c7c481345c6155cbfd1eead6d72e60097','{"action":"query.release","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"answer_sha256":"794dc92f056b78dc25d34acc3c8b4b77cd888e5d03ba3cd1be92066633dbd4f7","charge":"f25e90e4bd094ad494e823ee4d49f237","charged_at":"2026-11-29T01:20:52.931Z","dataset":"clinic","edition":1,"fingerprint":"6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc","loss":{"delta_atto":0,"epsilon_nano":125000000,"rho_nano":7812500},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":45,"previous":"04c412eccaeaa9686145b3bb3b8c816f3ef74b78ea55ce45abd89af021476f10","role":"researcher","study":"small","subject":"5bfed8ed12ad4df8af9998cd0a4ab014","summary":"a release of epsilon 0.125 (rho 0.0078125) was made","time":"2026-11-29T01:20:53.709Z"}','2026-11-29T01:20:53.709Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.release','small');
INSERT INTO "audit_entries" VALUES(46,'0be9c3b3ef80f23d8099ff57b1d75a85f999b0321648a0db27e1083b9ffaec39','{"action":"query.replay","actor":"2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef","facts":{"dataset":"clinic","edition":1,"fingerprint":"6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc","loss":{"delta_atto":0,"epsilon_nano":125000000,"rho_nano":7812500},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"events"}}}},"index":46,"previous":"09a9522f5e977ceef91163a2a56e391c7c481345c6155cbfd1eead6d72e60097","role":"researcher","study":"small","subject":"5bfed8ed12ad4df8af9998cd0a4ab014","summary":"a stored release was read again","time":"2026-11-29T01:20:56.088Z"}','2026-11-29T01:20:56.088Z','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','query.replay','small');
INSERT INTO "audit_entries" VALUES(47,'71010f209073a3bc2a5126a4abe87de28c89bb3e9f7b4479ebd2a70cfec11408','{"action":"study.budget.ask","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"delta_atto":1000000000000,"epsilon_nano":2000000000,"reason":"more"},"index":47,"previous":"0be9c3b3ef80f23d8099ff57b1d75a85f999b0321648a0db27e1083b9ffaec39","role":"admin","study":"small","subject":"study:small","summary":"a larger budget of study small waits for the DPO","time":"2026-11-29T01:20:59.723Z"}','2026-11-29T01:20:59.723Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','study.budget.ask','small');
INSERT INTO "audit_entries" VALUES(48,'23f19a091b55ff6cd1e8a12baee27152b88d2730527d66a8f8d50db6974d21eb','{"action":"study.budget.approve","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"delta_atto":1000000000000,"epsilon_nano":2000000000,"reason":"yes"},"index":48,"previous":"71010f209073a3bc2a5126a4abe87de28c89bb3e9f7b4479ebd2a70cfec11408","role":"dpo","study":"small","subject":"study:small","summary":"the larger budget of study small was approved","time":"2026-11-29T01:21:01.782Z"}','2026-11-29T01:21:01.782Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.budget.approve','small');
INSERT INTO "audit_entries" VALUES(49,'b8bad73963e1b89343b0fb1f596f3d95a05b49a4551f48212248e5b018c91447','{"action":"study.suspend","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"from":"approved","reason":"wait","to":"suspended"},"index":49,"previous":"23f19a091b55ff6cd1e8a12baee27152b88d2730527d66a8f8d50db6974d21eb","role":"dpo","study":"small","subject":"study:small","summary":"study small went from approved to suspended","time":"2026-11-29T01:21:03.967Z"}','2026-11-29T01:21:03.967Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.suspend','small');
INSERT INTO "audit_entries" VALUES(50,'4cc48f7fc1b3a0689c46f992ecfc8c409290cd9c3cb7ea21829d971b48dc3267','{"action":"study.resume","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"from":"suspended","reason":"go on","to":"approved"},"index":50,"previous":"b8bad73963e1b89343b0fb1f596f3d95a05b49a4551f48212248e5b018c91447","role":"dpo","study":"small","subject":"study:small","summary":"study small went from suspended to approved","time":"2026-11-29T01:21:06.065Z"}','2026-11-29T01:21:06.065Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.resume','small');
INSERT INTO "audit_entries" VALUES(51,'fadaf30a59e9dc57de78bd6b0e987da5621c9d0b6c07be76f6914c00fe9ecedd','{"action":"study.close","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{"from":"approved","reason":"done","to":"closed"},"index":51,"previous":"4cc48f7fc1b3a0689c46f992ecfc8c409290cd9c3cb7ea21829d971b48dc3267","role":"dpo","study":"small","subject":"study:small","summary":"study small went from approved to closed","time":"2026-11-29T01:21:08.906Z"}','2026-11-29T01:21:08.906Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','study.close','small');
INSERT INTO "audit_entries" VALUES(52,'517b76101889e088ef1c571f1f5d8fd3f9eccc9c7fd5fae341714dccca0eb600','{"action":"user.remove","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"role":"dpo"},"index":52,"previous":"fadaf30a59e9dc57de78bd6b0e987da5621c9d0b6c07be76f6914c00fe9ecedd","role":"admin","study":null,"subject":"user:28d889699696a30c50a4a6b6483386672c1f56ff41f780d5a4e9e09ff61fe35d","summary":"a user of the role dpo was removed","time":"2026-11-29T01:21:13.792Z"}','2026-11-29T01:21:13.792Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','user.remove',NULL);
INSERT INTO "audit_entries" VALUES(53,'bbaaaea980e66b4e7cbc795e783844de3ac8baf96af0c168b40e8051f7d95d7a','{"action":"audit.read","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{},"index":53,"previous":"517b76101889e088ef1c571f1f5d8fd3f9eccc9c7fd5fae341714dccca0eb600","role":"dpo","study":null,"subject":"audit","summary":"the audit log was read","time":"2026-11-29T01:21:19.027Z"}','2026-11-29T01:21:19.027Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','audit.read',NULL);
INSERT INTO "audit_entries" VALUES(54,'e810ec566d4fa8be0947734a95d90738084fde6063ba70b80fc16359c4bc5563','{"action":"query.reserve","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"dataset":"clinic","edition":1,"fingerprint":"f20357eead3df9ba1e01b8f34e120d64908b2b74f1ba602ecf2fe6f9a8ea0e3e","loss":{"delta_atto":0,"epsilon_nano":250000000,"rho_nano":31250000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"persons"}},"where":{"column":"code","op":"=","value":"C1"}}},"index":54,"previous":"bbaaaea980e66b4e7cbc795e783844de3ac8baf96af0c168b40e8051f7d95d7a","role":"researcher","study":"flu","subject":"5256f588e16443d597cbdbd0d7592d84","summary":"epsilon 0.25 (rho 0.03125) was reserved","time":"2026-11-29T01:21:24.764Z"}','2026-11-29T01:21:24.764Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.reserve','flu');
INSERT INTO "audit_entries" VALUES(55,'e46f952d800db7368bf3f880a64948f225e289ca1a6dd98f70eaba8fbbd8a8c6','{"action":"query.release","actor":"3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a","facts":{"answer_sha256":"74f4aabd943dfa8b43d79b7d946261fad44bfce2b77aa1c75d4f443c9aa16391","charge":"5256f588e16443d597cbdbd0d7592d84","charged_at":"2026-11-29T01:21:24.757Z","dataset":"clinic","edition":1,"fingerprint":"f20357eead3df9ba1e01b8f34e120d64908b2b74f1ba602ecf2fe6f9a8ea0e3e","loss":{"delta_atto":0,"epsilon_nano":250000000,"rho_nano":31250000},"mechanisms":["discrete_laplace"],"query":{"from":"visits","select":{"n":{"count":"persons"}},"where":{"column":"code","op":"=","value":"C1"}}},"index":55,"previous":"e810ec566d4fa8be0947734a95d90738084fde6063ba70b80fc16359c4bc5563","role":"researcher","study":"flu","subject":"d942302193a64d24ba809f231dd8a1ab","summary":"a release of epsilon 0.25 (rho 0.03125) was made","time":"2026-11-29T01:21:26.477Z"}','2026-11-29T01:21:26.477Z','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','query.release','flu');
INSERT INTO "audit_entries" VALUES(56,'c109eba4bca1c9cd866ce4a899885a796a43b6154734efdafe7538ac931db019','{"action":"release.read","actor":"3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e","facts":{"form":"certificate","post":[]},"index":56,"previous":"e46f952d800db7368bf3f880a64948f225e289ca1a6dd98f70eaba8fbbd8a8c6","role":"admin","study":"flu","subject":"d942302193a64d24ba809f231dd8a1ab","summary":"a release was read as certificate","time":"2026-11-29T01:21:32.913Z"}','2026-11-29T01:21:32.913Z','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','release.read','flu');
INSERT INTO "audit_entries" VALUES(57,'e90f11deee385e7323204d5b4131350c8828f251f43e5d9fd20d87147e747526','{"action":"audit.export","actor":"8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa","facts":{},"index":57,"previous":"c109eba4bca1c9cd866ce4a899885a796a43b6154734efdafe7538ac931db019","role":"dpo","study":null,"subject":"audit","summary":"the audit log was exported","time":"2026-11-29T01:21:38.963Z"}','2026-11-29T01:21:38.963Z','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','audit.export',NULL);
CREATE TABLE audit_nodes (
	level INTEGER NOT NULL, 
	"index" BIGINT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_nodes PRIMARY KEY (level, "index"), 
	CONSTRAINT ck_audit_nodes_level CHECK (level > 0)
);
INSERT INTO "audit_nodes" VALUES(1,0,'f7c0bee09c19a9b0291d7477e904314cd7ba8eaac0ac5ecad8ab6af77fdd0e5d');
INSERT INTO "audit_nodes" VALUES(1,1,'7d0f3a328b6389ac494e33a82169f5cb6ee7568e58c70f088d7a367b3f8853e9');
INSERT INTO "audit_nodes" VALUES(2,0,'affd36c3c7f06fdc4ec1ee0f2c54b1daf64e49f74f6c8a3c662012014f05b246');
INSERT INTO "audit_nodes" VALUES(1,2,'10c9f485252b59c61cc5907fe6c732ca11afb3ff7d9b197d8993e2cba5fb67aa');
INSERT INTO "audit_nodes" VALUES(1,3,'0119429be1cbb507add604fa3eccb185565ba83946acb00dd13bfba23dfdb789');
INSERT INTO "audit_nodes" VALUES(2,1,'f567a4126f9b42b8e8a9c3500c1d30c790cf08be9c026b887a3d798e8a2877a3');
INSERT INTO "audit_nodes" VALUES(3,0,'ff2d963dabebb68e64d64739c78daee64f27429c14b97a113323a7c2a8917631');
INSERT INTO "audit_nodes" VALUES(1,4,'36b2296d25a4497d7c282def51acdfba17ce37879044d7f67ea5427ae3bdeb34');
INSERT INTO "audit_nodes" VALUES(1,5,'c77b5a81dd053ffbb2ed51ed8de0102d6cdc577cef77de90fa24f007c2fa3800');
INSERT INTO "audit_nodes" VALUES(2,2,'b8a23e4b35083afb6d150d97f619e7579045c0ade03cb8120549840488e07550');
INSERT INTO "audit_nodes" VALUES(1,6,'015c3906e6cd4da5180e419316503b40beb643ef5d8192905e62e4133fa8626c');
INSERT INTO "audit_nodes" VALUES(1,7,'6b3f47e5cc185b38bbb3d52a7db1426944e7f7c665d34d1d5b44394a5fa23845');
INSERT INTO "audit_nodes" VALUES(2,3,'56037d0e14043c6d7faaaab434ad0879071d77f8686f9c371fc338adfc9b2198');
INSERT INTO "audit_nodes" VALUES(3,1,'fa777ca4b996323162aad9add24f0efcd466878524dfd3046dcd8d75a0a5b04b');
INSERT INTO "audit_nodes" VALUES(4,0,'57e851dbf3c808df3394cc050aa1afcf06a62d29862509c48f83e91a2a89a7d9');
INSERT INTO "audit_nodes" VALUES(1,8,'a04c2de2ffc3e0e38e2f79bbbd0f3cb127ad4c6c59b3d224242d62ee985fcd91');
INSERT INTO "audit_nodes" VALUES(1,9,'2e62374d04abae15252043a086278ec1912cbe6105cf726c074c36b9697cf293');
INSERT INTO "audit_nodes" VALUES(2,4,'fe3c12c9a37f5efa3229d8bf423a995e8c4783506731ef252e9f6051306ad6f5');
INSERT INTO "audit_nodes" VALUES(1,10,'16ae88ae4ad8b3dab761badced5716c119bc7a108af946d5d23d7fa4190e1f5f');
INSERT INTO "audit_nodes" VALUES(1,11,'638e60aa47f94eaed22331f0cd2d1cb015b80df470b8f65f6575ba7408abd153');
INSERT INTO "audit_nodes" VALUES(2,5,'6c711fc0d8a3a93419a61822ee87a27cf351d062afbd8b94412d1ead0192bbe3');
INSERT INTO "audit_nodes" VALUES(3,2,'0a94cf12de25a581ce7b92f506d8c26300f4d14c90fda8091b5cc788b799984a');
INSERT INTO "audit_nodes" VALUES(1,12,'228b5f3ce354b966f92b890c275a5035dc11946b479023012a5594daaeb8c7f6');
INSERT INTO "audit_nodes" VALUES(1,13,'fe006c861fbd93c7a6d7e90492f5558cfff5e63a57a1a511f8218f15ce563a44');
INSERT INTO "audit_nodes" VALUES(2,6,'cffd2f585c53d6dcc7b3323a11e4485cf122406328d9a48781cf72f81fa4ecf5');
INSERT INTO "audit_nodes" VALUES(1,14,'3959cecc7728ad72e46ddc1e1224a0a34a3ceb79cc9695b645b9497f8c4bd257');
INSERT INTO "audit_nodes" VALUES(1,15,'5d90ee9715ff3e19186ec187c5b4f310c29d1a551f00b71d10b08688e58095ec');
INSERT INTO "audit_nodes" VALUES(2,7,'1eac9d867b81c9c7d91705576a893ae3a216c7ddf829651fc88aadfc8292b69a');
INSERT INTO "audit_nodes" VALUES(3,3,'f14fab47a6b4687356c5675affb044be9643936d50fbd8f2cc3b54b7eca0fb41');
INSERT INTO "audit_nodes" VALUES(4,1,'e76b2a8be6149b1379099375e0cffe4dd975f586d9c42bcd60cfed811f720f5b');
INSERT INTO "audit_nodes" VALUES(5,0,'52f139e8249cda27ca1bb700fb02b3416d1febf0eda70c814b4149f678782f79');
INSERT INTO "audit_nodes" VALUES(1,16,'529669c58f59a22e9d6d2974e8970b39409a5a0c8c728a6917353e5fdef2b17f');
INSERT INTO "audit_nodes" VALUES(1,17,'c36ac33fd635f8ea068038e4d3268fd62ddcef9d493482a1b2f1aa125cbae23f');
INSERT INTO "audit_nodes" VALUES(2,8,'ce3304cf96680a05d6cf20783554e0a60d4385687a1e98f87242f8136b3a9ae2');
INSERT INTO "audit_nodes" VALUES(1,18,'846f76bbe5ee73154738d9d81368ab830c0c6af65283d05b6d9bdd34973aa316');
INSERT INTO "audit_nodes" VALUES(1,19,'dc950ceed006da6170ce3c7bad965b6f3adbc1e50abda917717780b9de87d4b8');
INSERT INTO "audit_nodes" VALUES(2,9,'8be49192c28d25730390d996b6d776c4898aff061331d5cb4a46205f4652441d');
INSERT INTO "audit_nodes" VALUES(3,4,'5cd6c8882e33a649265d6eee2b701253207e962a9bb2e10841f55c7fc95a95d1');
INSERT INTO "audit_nodes" VALUES(1,20,'dbf12cbfaf7dde0d44dc2c8f5b809f033819047a76540d2ec06d5cbb81a0f1f7');
INSERT INTO "audit_nodes" VALUES(1,21,'c5101318304822643019892130dbd70a010b48fdc820d89bac9fb80ceb537f0f');
INSERT INTO "audit_nodes" VALUES(2,10,'4e628ea628b46caa12af1807e9abc47ba66c0c7a17f64aacf3c0981482b765b3');
INSERT INTO "audit_nodes" VALUES(1,22,'e257a25dae5dbec16d731d71c19195948c0f13f4a3a30f12afbad753ad110e4f');
INSERT INTO "audit_nodes" VALUES(1,23,'79004ee90b10761952b04ba299bc7a0bb2576dffa560e10994e23d80eae4d821');
INSERT INTO "audit_nodes" VALUES(2,11,'bd5253cfc6632d99418d96f336ede7bd44737f3826239960217ed3c198a6dbf2');
INSERT INTO "audit_nodes" VALUES(3,5,'d721629153a21a8a5312d2ab43243ac1c8ab9742a0153fbed650e65c97642418');
INSERT INTO "audit_nodes" VALUES(4,2,'9c821f7aa2716bff181885fbef8eebfa1d8e318dc7c1dccf25c5ef93e834a7bf');
INSERT INTO "audit_nodes" VALUES(1,24,'c51123efd5d7ed96248c439685ce38856e3e115b6a92958982242a8014207070');
INSERT INTO "audit_nodes" VALUES(1,25,'505f5b9ceaf3e8599d3c43aa4466d2c2ad04acf945c7a7d72692934dca57915f');
INSERT INTO "audit_nodes" VALUES(2,12,'3a76fa28e42351a6cc299a189df753446e227542a3ee5c243026aeddc161f3f5');
INSERT INTO "audit_nodes" VALUES(1,26,'1c39231bdb8597f0d28737b9ef63f6ab48686ac83f233e35592e9334d9702dd7');
INSERT INTO "audit_nodes" VALUES(1,27,'68ea843ba540082ed7f1ce757d93136f1719fd3c9327371cc462a763a405991a');
INSERT INTO "audit_nodes" VALUES(2,13,'e6febdb41c6cc7820c441c9b5fdf6b6b7a80b17501f9253a5eb6cb8ab1ad8e91');
INSERT INTO "audit_nodes" VALUES(3,6,'3f8ab3f4d4269700a4c56beee7eb47658d81622fd4d638b28927846d00e7db6b');
INSERT INTO "audit_nodes" VALUES(1,28,'3f5aac578ded735c48781d83e4f3de9bf2dd557899c6748c2c77aa8b79125450');
CREATE TABLE budget_alerts (
	kind VARCHAR(8) NOT NULL, 
	owner VARCHAR(63) NOT NULL, 
	percent INTEGER NOT NULL, 
	CONSTRAINT pk_budget_alerts PRIMARY KEY (kind, owner, percent)
);
CREATE TABLE bursts (
	kind VARCHAR(16) NOT NULL, 
	actor VARCHAR(64) NOT NULL, 
	last_at VARCHAR(32) NOT NULL, 
	told INTEGER NOT NULL, 
	CONSTRAINT pk_bursts PRIMARY KEY (kind, actor)
);
INSERT INTO "bursts" VALUES('refusals','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','2026-11-29T01:20:19.744Z',0);
INSERT INTO "bursts" VALUES('refusals','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','2026-11-29T01:20:46.746Z',0);
CREATE TABLE charges (
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	reserve_id VARCHAR(32), 
	study VARCHAR(63) NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	edition INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	epsilon_nano BIGINT, 
	rho_nano BIGINT NOT NULL, 
	delta_atto BIGINT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_charges PRIMARY KEY (id), 
	CONSTRAINT ck_charges_resolves CHECK ((kind = 'reserve') = (reserve_id IS NULL)), 
	CONSTRAINT ck_charges_kind CHECK (kind IN ('reserve', 'settle', 'void')), 
	CONSTRAINT ck_charges_loss CHECK (epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0), 
	CONSTRAINT fk_charges_dataset FOREIGN KEY(dataset, edition) REFERENCES editions (dataset, number), 
	CONSTRAINT fk_charges_reserve_id FOREIGN KEY(reserve_id) REFERENCES charges (id), 
	CONSTRAINT fk_charges_study FOREIGN KEY(study) REFERENCES studies (id), 
	CONSTRAINT uq_charges_reserve_id UNIQUE (reserve_id)
);
INSERT INTO "charges" VALUES('41dede78d50c402ba2708eaedbeea103','reserve',NULL,'flu','clinic',1,'58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61',1000000000,500000000,0,'2026-11-29T01:19:42.002Z');
INSERT INTO "charges" VALUES('b9758b767e9944aab5f545c61f615620','settle','41dede78d50c402ba2708eaedbeea103','flu','clinic',1,'58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61',1000000000,500000000,0,'2026-11-29T01:19:43.060Z');
INSERT INTO "charges" VALUES('315590ce11074a87b6b31832b21dc810','reserve',NULL,'flu','clinic',1,'4ef360a720c9c2a671da29ff0b1909652ae6678130aa6ba93b95d418b63f65a9',500000000,40955191,0,'2026-11-29T01:19:47.942Z');
INSERT INTO "charges" VALUES('f8d25a67355547f289cb84a0ed18a81f','settle','315590ce11074a87b6b31832b21dc810','flu','clinic',1,'4ef360a720c9c2a671da29ff0b1909652ae6678130aa6ba93b95d418b63f65a9',500000000,40955191,0,'2026-11-29T01:19:49.146Z');
INSERT INTO "charges" VALUES('98a42e5ab7d3470c8e6cb4c045a15f8e','reserve',NULL,'flu','clinic',1,'ec03555d00c3e8240ee252886537f856188149e85865846ae16074a306337981',NULL,10000000,0,'2026-11-29T01:19:54.603Z');
INSERT INTO "charges" VALUES('53f2e6724dbd458bb99c8db59aadc283','settle','98a42e5ab7d3470c8e6cb4c045a15f8e','flu','clinic',1,'ec03555d00c3e8240ee252886537f856188149e85865846ae16074a306337981',NULL,10000000,0,'2026-11-29T01:19:55.851Z');
INSERT INTO "charges" VALUES('8bc0ebdf8443464aaf6e0ceb3dd38ecb','reserve',NULL,'flu','clinic',1,'996503f69876c30cb309cfcfad353a6789b65a240f626e50be670ef6ce8474f4',3000000000,2250000000,858817684,'2026-11-29T01:20:01.324Z');
INSERT INTO "charges" VALUES('0cc4e7716ae4438f9bddb6e75b523405','settle','8bc0ebdf8443464aaf6e0ceb3dd38ecb','flu','clinic',1,'996503f69876c30cb309cfcfad353a6789b65a240f626e50be670ef6ce8474f4',3000000000,2250000000,858817684,'2026-11-29T01:20:03.689Z');
INSERT INTO "charges" VALUES('b46c2a248a4446ebae76898622c9f238','reserve',NULL,'flu','clinic',1,'43ad0a778eedbcd1aad62f58e52fe126b60195dfb56b07e448a2bdc10e4aeca0',146003416,10658499,0,'2026-11-29T01:20:06.652Z');
INSERT INTO "charges" VALUES('12c8eed3a780499688fd0a27a942959e','settle','b46c2a248a4446ebae76898622c9f238','flu','clinic',1,'43ad0a778eedbcd1aad62f58e52fe126b60195dfb56b07e448a2bdc10e4aeca0',146003416,10658499,0,'2026-11-29T01:20:07.267Z');
INSERT INTO "charges" VALUES('ed8f0811bb924900bcbcb99d4cf2da20','reserve',NULL,'small','clinic',1,'8bbd133b2b0f1daddca01bbbb3cf32e07b2ae3483492773bdd59d76ee51734a9',750000000,281250000,0,'2026-11-29T01:20:40.953Z');
INSERT INTO "charges" VALUES('3e7397860267459aace90d52a35137b5','settle','ed8f0811bb924900bcbcb99d4cf2da20','small','clinic',1,'8bbd133b2b0f1daddca01bbbb3cf32e07b2ae3483492773bdd59d76ee51734a9',750000000,281250000,0,'2026-11-29T01:20:42.038Z');
INSERT INTO "charges" VALUES('7abf405a01f44e9ead58516d3fb6752a','reserve',NULL,'small','clinic',1,'6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc',125000000,7812500,0,'2026-11-29T01:20:50.234Z');
INSERT INTO "charges" VALUES('420749abf7f7496f8f89abde83dad32c','void','7abf405a01f44e9ead58516d3fb6752a','small','clinic',1,'6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc',125000000,7812500,0,'2026-11-29T01:20:50.265Z');
INSERT INTO "charges" VALUES('f25e90e4bd094ad494e823ee4d49f237','reserve',NULL,'small','clinic',1,'6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc',125000000,7812500,0,'2026-11-29T01:20:52.931Z');
INSERT INTO "charges" VALUES('e383d59d8cb5453cbfa07bb97ea226a2','settle','f25e90e4bd094ad494e823ee4d49f237','small','clinic',1,'6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc',125000000,7812500,0,'2026-11-29T01:20:53.707Z');
INSERT INTO "charges" VALUES('5256f588e16443d597cbdbd0d7592d84','reserve',NULL,'flu','clinic',1,'f20357eead3df9ba1e01b8f34e120d64908b2b74f1ba602ecf2fe6f9a8ea0e3e',250000000,31250000,0,'2026-11-29T01:21:24.757Z');
INSERT INTO "charges" VALUES('4ff5db14f9ee4de8b4aec13bc24692f3','settle','5256f588e16443d597cbdbd0d7592d84','flu','clinic',1,'f20357eead3df9ba1e01b8f34e120d64908b2b74f1ba602ecf2fe6f9a8ea0e3e',250000000,31250000,0,'2026-11-29T01:21:26.466Z');
CREATE TABLE datasets (
	name VARCHAR(63) NOT NULL, 
	title TEXT NOT NULL, 
	overcommit INTEGER NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_datasets PRIMARY KEY (name)
);
INSERT INTO "datasets" VALUES('clinic','A clinic',1,'2026-11-29T01:19:29.795Z');
CREATE TABLE deliveries (
	position INTEGER NOT NULL, 
	raised_at VARCHAR(32) NOT NULL, 
	next_at VARCHAR(32) NOT NULL, 
	attempts INTEGER NOT NULL, 
	CONSTRAINT pk_deliveries PRIMARY KEY (position)
);
INSERT INTO "deliveries" VALUES(37,'2026-11-29T01:20:40.969Z','2026-11-29T01:20:40.969Z',0);
INSERT INTO "deliveries" VALUES(40,'2026-11-29T01:20:46.743Z','2026-11-29T01:20:46.743Z',0);
INSERT INTO "deliveries" VALUES(42,'2026-11-29T01:20:50.242Z','2026-11-29T01:20:50.242Z',0);
CREATE TABLE editions (
	dataset VARCHAR(63) NOT NULL, 
	number INTEGER NOT NULL, 
	folder VARCHAR(64) NOT NULL, 
	imported_at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_editions PRIMARY KEY (dataset, number), 
	CONSTRAINT fk_editions_dataset FOREIGN KEY(dataset) REFERENCES datasets (name)
);
INSERT INTO "editions" VALUES('clinic',1,'17e6eba2a2eb10dc','2026-11-29T01:19:29.833Z');
CREATE TABLE failures (
	charge VARCHAR(32) NOT NULL, 
	attempt INTEGER NOT NULL, 
	CONSTRAINT pk_failures PRIMARY KEY (charge, attempt), 
	CONSTRAINT fk_failures_charge FOREIGN KEY(charge) REFERENCES charges (id)
);
CREATE TABLE idempotency_keys (
	study VARCHAR(63) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	edition INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY (study, "key"), 
	CONSTRAINT fk_idempotency_keys_study FOREIGN KEY(study) REFERENCES studies (id)
);
CREATE TABLE identities (
	commitment VARCHAR(64) NOT NULL, 
	salt VARCHAR(32) NOT NULL, 
	name VARCHAR(63) NOT NULL, made_at VARCHAR(32) DEFAULT '0' NOT NULL, named_at VARCHAR(32) DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_identities PRIMARY KEY (commitment)
);
INSERT INTO "identities" VALUES('3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','3af34aaaef527e98178052618d636d1e','admin','2026-11-29T01:19:16.509Z','2026-11-29T01:19:16.514Z');
INSERT INTO "identities" VALUES('8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','8a4471afd9d444904ff19090a1ca04ce','dora','2026-11-29T01:19:19.159Z','2026-11-29T01:19:19.163Z');
INSERT INTO "identities" VALUES('3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','a2a0eeaf94313b8afc6ccfc098b0b0a4','ada','2026-11-29T01:19:21.505Z','2026-11-29T01:19:34.305Z');
INSERT INTO "identities" VALUES('2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','ff76c894d5c83bd9dacf6fc74f040986','ben','2026-11-29T01:19:23.749Z','2026-11-29T01:20:35.522Z');
INSERT INTO "identities" VALUES('28d889699696a30c50a4a6b6483386672c1f56ff41f780d5a4e9e09ff61fe35d','196e6a02112620d0a1fb6e284e26b7b0','carl','2026-11-29T01:19:25.971Z','2026-11-29T01:21:13.792Z');
CREATE TABLE members (
	study VARCHAR(63) NOT NULL, 
	user VARCHAR(63) NOT NULL, 
	CONSTRAINT pk_members PRIMARY KEY (study, user), 
	CONSTRAINT fk_members_study FOREIGN KEY(study) REFERENCES studies (id), 
	CONSTRAINT fk_members_user FOREIGN KEY(user) REFERENCES users (name)
);
INSERT INTO "members" VALUES('flu','ada');
INSERT INTO "members" VALUES('small','ben');
CREATE TABLE overruns (
	day VARCHAR(10) NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	scans INTEGER NOT NULL, 
	CONSTRAINT pk_overruns PRIMARY KEY (day, dataset), 
	CONSTRAINT fk_overruns_dataset FOREIGN KEY(dataset) REFERENCES datasets (name)
);
CREATE TABLE profile_charges (
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	reserve_id VARCHAR(32), 
	dataset VARCHAR(63) NOT NULL, 
	edition INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	epsilon_nano BIGINT NOT NULL, 
	rho_nano BIGINT NOT NULL, 
	delta_atto BIGINT NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_profile_charges PRIMARY KEY (id), 
	CONSTRAINT ck_profile_charges_kind CHECK (kind IN ('reserve', 'settle', 'void')), 
	CONSTRAINT ck_profile_charges_resolves CHECK ((kind = 'reserve') = (reserve_id IS NULL)), 
	CONSTRAINT ck_profile_charges_loss CHECK (epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0), 
	CONSTRAINT fk_profile_charges_reserve_id FOREIGN KEY(reserve_id) REFERENCES profile_charges (id), 
	CONSTRAINT fk_profile_charges_dataset FOREIGN KEY(dataset, edition) REFERENCES editions (dataset, number), 
	CONSTRAINT uq_profile_charges_reserve_id UNIQUE (reserve_id)
);
INSERT INTO "profile_charges" VALUES('054e37b5e4ec47a79a79c7cff21883c7','reserve',NULL,'clinic',1,'87fef489511a670c2958c8469ef187c29191dcb7999affb11a764c568a252724',1000000000,71428572,0,'2026-11-29T01:19:30.066Z');
INSERT INTO "profile_charges" VALUES('0e52ec54f1a24d14a36fb6da4d05af58','settle','054e37b5e4ec47a79a79c7cff21883c7','clinic',1,'87fef489511a670c2958c8469ef187c29191dcb7999affb11a764c568a252724',1000000000,71428572,0,'2026-11-29T01:19:30.188Z');
CREATE TABLE profile_resumes (
	charge VARCHAR(32) NOT NULL, 
	attempt INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_profile_resumes PRIMARY KEY (charge, attempt), 
	CONSTRAINT ck_profile_resumes_attempt CHECK (attempt IN (2, 3)), 
	CONSTRAINT fk_profile_resumes_charge FOREIGN KEY(charge) REFERENCES profile_charges (id)
);
CREATE TABLE profiles (
	id VARCHAR(32) NOT NULL, 
	charge VARCHAR(32) NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	edition INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	charged_at VARCHAR(32) NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_profiles PRIMARY KEY (id), 
	CONSTRAINT fk_profiles_charge FOREIGN KEY(charge) REFERENCES profile_charges (id), 
	CONSTRAINT uq_profiles_charge UNIQUE (charge), 
	CONSTRAINT uq_profiles_dataset UNIQUE (dataset, edition, fingerprint)
);
INSERT INTO "profiles" VALUES('3e599e6f87ee42d4b6afa0db2b24ec7f','054e37b5e4ec47a79a79c7cff21883c7','clinic',1,'87fef489511a670c2958c8469ef187c29191dcb7999affb11a764c568a252724','2026-11-29T01:19:30.066Z','{"cost":{"epsilon":1.0,"rho":0.071428572,"delta":0.0},"confidence":0.95,"tables":{"visits":{"events":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23,32,45,64,91,128,181,256,362,512,724,1024,1448,2048,2896,4096,5793,8192,11585,16384,23170,32768,46341,65536,92682,131072,185364,262144,370728,524288,741455,1048576],"most":1048576,"persons":[4,-8,23,-28,69,-11,-5,-33,-26,-5,-4,10,7,-6,8,-5,4,7,-3,0,9,4,-5,-2,11,0,32,3,-9,-5,4,3,4,8,-13,-2,-8,-10,-16,-13,3]},"columns":{"day":{"by":"month","values":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23],"most":24,"persons":[-6,52,1,12,4,3,3,-10,21,-18]},"repeats":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23,32,45,64,91,128,181,256,362,512,724,1024,1448,2048,2896,4096,5793,8192,11585,16384,23170,32768,46341,65536,92682,131072,185364,262144,370728,524288,741455,1048576],"most":1048576,"persons":[-29,-14,-12,-2,58,-6,-20,0,5,-1,9,-5,3,-21,4,-1,0,4,-5,-2,3,-6,0,-6,-13,15,-15,-2,4,1,15,26,-19,-20,-5,15,-3,8,9,-1,-4]}},"age":{"values":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23,32,45,64,91],"most":121,"persons":[-4,31,-20,50,1,12,-1,6,-3,-5,10,1,-1,-3]},"repeats":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23,32,45,64,91,128,181,256,362,512,724,1024,1448,2048,2896,4096,5793,8192,11585,16384,23170,32768,46341,65536,92682,131072,185364,262144,370728,524288,741455,1048576],"most":1048576,"persons":[3,1,82,11,3,-5,0,4,6,-3,-20,-3,-1,8,-1,16,4,13,-12,-5,-8,-28,8,-1,6,14,7,0,24,-2,2,-4,2,2,11,8,-16,16,0,-15,-10]}},"urgent":{"values":{"scale":6.999999993000003,"margin":21,"starts":[0,1,2],"most":2,"persons":[-1,56,1]},"repeats":{"scale":7.000000042000003,"margin":21,"starts":[0,1,2,3,4,6,8,11,16,23,32,45,64,91,128,181,256,362,512,724,1024,1448,2048,2896,4096,5793,8192,11585,16384,23170,32768,46341,65536,92682,131072,185364,262144,370728,524288,741455,1048576],"most":1048576,"persons":[1,-4,0,5,67,2,1,4,-12,0,6,1,7,0,11,3,-3,0,8,4,-2,9,4,4,-13,1,11,-3,-2,4,2,-27,-2,-5,8,-6,-7,-26,5,3,-20]}}}}}}');
CREATE TABLE releases (
	id VARCHAR(32) NOT NULL, 
	charge VARCHAR(32) NOT NULL, 
	study VARCHAR(63) NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	edition INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	charged_at VARCHAR(32) NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_releases PRIMARY KEY (id), 
	CONSTRAINT fk_releases_charge FOREIGN KEY(charge) REFERENCES charges (id), 
	CONSTRAINT fk_releases_study FOREIGN KEY(study) REFERENCES studies (id), 
	CONSTRAINT uq_releases_charge UNIQUE (charge), 
	CONSTRAINT uq_releases_study UNIQUE (study, dataset, edition, fingerprint)
);
INSERT INTO "releases" VALUES('79febe4c4462459ca924bcd04ba19be3','41dede78d50c402ba2708eaedbeea103','flu','clinic',1,'58450c5e1cc6fe5e18fd2ce1f11354457348d9e94619d53d370abc43fe143f61','2026-11-29T01:19:42.002Z','{"query":{"from":"visits","group_by":["sex"],"select":{"patients":{"count":"persons"}}},"sql":"SELECT sex, COUNT(DISTINCT person) AS patients FROM visits GROUP BY sex","cost":{"epsilon":1.0,"rho":0.5,"delta":0.0},"columns":[{"name":"sex","kind":"key"},{"name":"patients","kind":"statistic","mechanism":"discrete_laplace","scale":1.0,"margin":3.0,"confidence":0.95,"truncation":"none"}],"bounds":{"cells_per_person":1,"events_per_cell":1},"notes":[],"statistics":{"patients":{"low":0,"high":null,"step":"1","total":0}},"rows":[{"sex":"female","patients":{"value":30,"low":27,"high":33}},{"sex":"male","patients":{"value":33,"low":30,"high":36}}]}');
INSERT INTO "releases" VALUES('10777f4a7ef444ae97d53caea621eaf6','315590ce11074a87b6b31832b21dc810','flu','clinic',1,'4ef360a720c9c2a671da29ff0b1909652ae6678130aa6ba93b95d418b63f65a9','2026-11-29T01:19:47.942Z','{"query":{"from":"visits","where":{"column":"urgent","op":"=","value":true},"select":{"cost":{"mean":"cost"},"age":{"quantile":"age","at":0.5}}},"sql":"SELECT AVG(cost) AS cost, QUANTILE_CONT(age, 0.5) AS age FROM visits WHERE urgent = TRUE","cost":{"epsilon":0.5,"rho":0.040955191,"delta":0.0},"columns":[{"name":"cost","kind":"statistic","mechanism":"discrete_laplace","scale":30528.943373853435,"margin":null,"margins_at":{"100":1134.3587408929293,"1000":113.43587408929292,"10000":11.343587408929293,"100000":1.1343587408929292},"confidence":0.95,"truncation":"profile","expected_loss":0.0},{"name":"age","kind":"statistic","mechanism":"discrete_laplace","scale":19.48813698831992,"margin":null,"margin_events":109.65926842990977,"confidence":0.95,"truncation":"profile","expected_loss":0.0}],"bounds":{"cells_per_person":1,"events_per_cell":5},"notes":["chosen from the dataset''s profile: events_per_cell 5, beyond which less than 0.1% of the events is lost; the noise on a count is then about 11.2% of a mean cell (before any filter: it leaves smaller cells)","cost, age: a person counts with at most 5 events in each cell. By the dataset''s profile less than 0.1% of what persons contribute is beyond that, is cut off and is in no margin.","cost: in 1 of 1 rows the margin is more than half of the value","age: in 1 of 1 rows the margin is more than half of the value"],"statistics":{"cost":{"low":0,"high":1000,"step":null},"age":{"low":0,"high":120,"step":"1"}},"rows":[{"cost":{"value":0.0,"low":0.0,"high":1000.0,"raw":{"centred_sum":-81701.19,"count":-63}},"age":{"value":39,"low":0,"high":120}}]}');
INSERT INTO "releases" VALUES('3898943393b9449f9a6d1387dcc09cde','98a42e5ab7d3470c8e6cb4c045a15f8e','flu','clinic',1,'ec03555d00c3e8240ee252886537f856188149e85865846ae16074a306337981','2026-11-29T01:19:54.603Z','{"query":{"from":"visits","select":{"n":{"count":"events"},"ages":{"histogram":"age","bins":[0,18,40,65]}}},"sql":"SELECT COUNT(*) AS n, HISTOGRAM(age, [0, 18, 40, 65]) AS ages FROM visits","cost":{"epsilon":null,"rho":0.01,"delta":0.0},"columns":[{"name":"n","kind":"statistic","mechanism":"discrete_gaussian","scale":50.00000000000005,"margin":98.0,"confidence":0.95,"truncation":"profile","expected_loss":0.0},{"name":"ages","kind":"statistic","mechanism":"discrete_gaussian","scale":50.00000000000005,"margin":98.0,"confidence":0.95,"truncation":"profile","expected_loss":0.0}],"bounds":{"cells_per_person":1,"events_per_cell":5},"notes":["chosen from the dataset''s profile: events_per_cell 5, beyond which less than 0.1% of the events is lost; the noise on a count is then about 11.2% of a mean cell (before any filter: it leaves smaller cells)","n, ages: a person counts with at most 5 events in each cell. By the dataset''s profile less than 0.1% of what persons contribute is beyond that, is cut off and is in no margin.","ages: in 3 of 3 bins the margin is more than half of the value"],"statistics":{"n":{"low":0,"high":null,"step":"1","total":0},"ages":{"low":0,"high":null,"step":"1"}},"rows":[{"n":{"value":297,"low":199,"high":395},"ages":{"bins":[{"bin":"[0, 18)","value":52,"low":-46,"high":150},{"bin":"[18, 40)","value":20,"low":-78,"high":118},{"bin":"[40, 65)","value":1,"low":-97,"high":99}]}}]}');
INSERT INTO "releases" VALUES('039a218697324b51822d7f99ee33c744','8bc0ebdf8443464aaf6e0ceb3dd38ecb','flu','clinic',1,'996503f69876c30cb309cfcfad353a6789b65a240f626e50be670ef6ce8474f4','2026-11-29T01:20:01.324Z','{"query":{"from":"visits","group_by":["code"],"select":{"patients":{"count":"persons"}},"bounds":{"cells_per_person":3}},"sql":"SELECT code, COUNT(DISTINCT person) AS patients FROM visits GROUP BY code","cost":{"epsilon":3.0,"rho":2.25,"delta":8.58817684e-10},"columns":[{"name":"code","kind":"key","mechanism":"discrete_laplace_threshold","scale":2.0,"threshold":44},{"name":"patients","kind":"statistic","mechanism":"discrete_laplace","scale":2.0,"margin":6.0,"confidence":0.95,"truncation":"asked","expected_loss":0.2903}],"bounds":{"cells_per_person":3,"events_per_cell":1},"notes":["code has no declared values: those are named of which the number of persons, with noise of scale 2, is at least 44","patients: bounds that were asked for cut off what is beyond them, and it is in no margin: a person counts in at most 3 cells. By the dataset''s profile it is about 29.0% of what persons contribute."],"statistics":{"patients":{"low":0,"high":null,"step":"1","total":0}},"rows":[]}');
INSERT INTO "releases" VALUES('7eab586cde3e482eb4d1a07629b41bf9','b46c2a248a4446ebae76898622c9f238','flu','clinic',1,'43ad0a778eedbcd1aad62f58e52fe126b60195dfb56b07e448a2bdc10e4aeca0','2026-11-29T01:20:06.652Z','{"query":{"from":"visits","select":{"patients":{"count":"persons"}}},"sql":"SELECT COUNT(DISTINCT person) AS patients FROM visits","cost":{"epsilon":0.146003416,"rho":0.010658499,"delta":0.0},"columns":[{"name":"patients","kind":"statistic","mechanism":"discrete_laplace","scale":6.8491548170352425,"margin":20.0,"confidence":0.95,"truncation":"none"}],"bounds":{"cells_per_person":1,"events_per_cell":1},"notes":[],"statistics":{"patients":{"low":0,"high":null,"step":"1","total":0}},"rows":[{"patients":{"value":54,"low":34,"high":74}}]}');
INSERT INTO "releases" VALUES('54a264ea89074f3fb46d50d655fff4d1','ed8f0811bb924900bcbcb99d4cf2da20','small','clinic',1,'8bbd133b2b0f1daddca01bbbb3cf32e07b2ae3483492773bdd59d76ee51734a9','2026-11-29T01:20:40.953Z','{"query":{"from":"visits","group_by":["urgent"],"select":{"n":{"count":"events"}}},"sql":"SELECT urgent, COUNT(*) AS n FROM visits GROUP BY urgent","cost":{"epsilon":0.75,"rho":0.28125,"delta":0.0},"columns":[{"name":"urgent","kind":"key"},{"name":"n","kind":"statistic","mechanism":"discrete_laplace","scale":6.666666666666667,"margin":20.0,"confidence":0.95,"truncation":"profile","expected_loss":0.0262}],"bounds":{"cells_per_person":1,"events_per_cell":5},"notes":["chosen from the dataset''s profile: cells_per_person 1, beyond which 1.7% of persons'' cells is lost; events_per_cell 5, beyond which 0.9% of the events is lost; the noise on a count is then about 3.7% of a mean cell (before any filter: it leaves smaller cells)","n: a person counts in at most 1 cell of the 2 they could touch; a person counts with at most 5 events in each cell. By the dataset''s profile about 2.6% of what persons contribute is beyond that, is cut off and is in no margin."],"statistics":{"n":{"low":0,"high":null,"step":"1","total":0}},"rows":[{"urgent":false,"n":{"value":204,"low":184,"high":224}},{"urgent":true,"n":{"value":100,"low":80,"high":120}}]}');
INSERT INTO "releases" VALUES('5bfed8ed12ad4df8af9998cd0a4ab014','f25e90e4bd094ad494e823ee4d49f237','small','clinic',1,'6109bd6b159ef627ed3ee2a57f67c02277308dabdb9ebf30bfdee61aae776ebc','2026-11-29T01:20:52.931Z','{"query":{"from":"visits","select":{"n":{"count":"events"}}},"sql":"SELECT COUNT(*) AS n FROM visits","cost":{"epsilon":0.125,"rho":0.0078125,"delta":0.0},"columns":[{"name":"n","kind":"statistic","mechanism":"discrete_laplace","scale":40.0,"margin":120.0,"confidence":0.95,"truncation":"profile","expected_loss":0.0}],"bounds":{"cells_per_person":1,"events_per_cell":5},"notes":["chosen from the dataset''s profile: events_per_cell 5, beyond which less than 0.1% of the events is lost; the noise on a count is then about 11.2% of a mean cell (before any filter: it leaves smaller cells)","n: a person counts with at most 5 events in each cell. By the dataset''s profile less than 0.1% of what persons contribute is beyond that, is cut off and is in no margin."],"statistics":{"n":{"low":0,"high":null,"step":"1","total":0}},"rows":[{"n":{"value":300,"low":180,"high":420}}]}');
INSERT INTO "releases" VALUES('d942302193a64d24ba809f231dd8a1ab','5256f588e16443d597cbdbd0d7592d84','flu','clinic',1,'f20357eead3df9ba1e01b8f34e120d64908b2b74f1ba602ecf2fe6f9a8ea0e3e','2026-11-29T01:21:24.757Z','{"query":{"from":"visits","where":{"column":"code","op":"=","value":"C1"},"select":{"n":{"count":"persons"}}},"sql":"SELECT COUNT(DISTINCT person) AS n FROM visits WHERE code = ''C1''","cost":{"epsilon":0.25,"rho":0.03125,"delta":0.0},"columns":[{"name":"n","kind":"statistic","mechanism":"discrete_laplace","scale":4.0,"margin":12.0,"confidence":0.95,"truncation":"none"}],"bounds":{"cells_per_person":1,"events_per_cell":1},"notes":[],"statistics":{"n":{"low":0,"high":null,"step":"1","total":0}},"rows":[{"n":{"value":41,"low":29,"high":53}}]}');
CREATE TABLE resumes (
	charge VARCHAR(32) NOT NULL, 
	attempt INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_resumes PRIMARY KEY (charge, attempt), 
	CONSTRAINT ck_resumes_attempt CHECK (attempt IN (2, 3)), 
	CONSTRAINT fk_resumes_charge FOREIGN KEY(charge) REFERENCES charges (id)
);
CREATE TABLE studies (
	id VARCHAR(63) NOT NULL, 
	title TEXT NOT NULL, 
	purpose TEXT NOT NULL, 
	legal_basis TEXT NOT NULL, 
	dataset VARCHAR(63) NOT NULL, 
	protocol TEXT NOT NULL, 
	starts VARCHAR(10), 
	ends VARCHAR(10), 
	state VARCHAR(16) NOT NULL, 
	opened_by VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	raise_epsilon_nano BIGINT, 
	raise_delta_atto BIGINT, edited_by TEXT, approved_by VARCHAR(64), raise_by VARCHAR(64), 
	CONSTRAINT pk_studies PRIMARY KEY (id), 
	CONSTRAINT ck_studies_state CHECK (state IN ('draft', 'approved', 'suspended', 'closed')), 
	CONSTRAINT fk_studies_dataset FOREIGN KEY(dataset) REFERENCES datasets (name)
);
INSERT INTO "studies" VALUES('flu','Flu','to learn','article 6(1)(e)','clinic','{}',NULL,NULL,'approved','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','2026-11-29T01:19:34.273Z',NULL,NULL,NULL,'8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa',NULL);
INSERT INTO "studies" VALUES('small','Small','to learn','article 6(1)(e)','clinic','{"epsilon_nano_max":750000000,"tables":["visits"]}',NULL,NULL,'closed','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','2026-11-29T01:20:35.503Z',NULL,NULL,NULL,'8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa',NULL);
CREATE TABLE tokens (
	id VARCHAR(16) NOT NULL, 
	user VARCHAR(63) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	revoked_at VARCHAR(32), mark VARCHAR(32), 
	CONSTRAINT pk_tokens PRIMARY KEY (id), 
	CONSTRAINT fk_tokens_user FOREIGN KEY(user) REFERENCES users (name)
);
INSERT INTO "tokens" VALUES('a5e142a10898d77a','admin','b61fcb407b1889e466b1e8c321bb9b7caf2d57d60b55c49eca6fd610420f5b79','2026-11-29T01:19:16.513Z',NULL,'2d9101e5009ed00ab44b88af86df59d9');
INSERT INTO "tokens" VALUES('6f830526a13f2099','dora','536635d12bcc874c1866cd6a352a1155cee4c13f28bc552f7595c06362a1c30b','2026-11-29T01:19:19.162Z',NULL,'453fd272fc764535a8948ffa78cd3a92');
INSERT INTO "tokens" VALUES('70045640d5dcf166','ada','9e925d928e2993d4927c0c897356bd1367439ad80ea592a6360d9167961af975','2026-11-29T01:19:21.506Z',NULL,'bf77ae6ac323b8bb5d5d4cbcbd70bd71');
INSERT INTO "tokens" VALUES('cbe1ce09ab2489d3','ben','3977846eb10e7fd95ee8ce78ef6c148e1ee6fbdc720285c1567dfdb6f62d79b8','2026-11-29T01:19:23.752Z',NULL,'c4ede49cdc7ff402909d81ef587e1ec7');
CREATE TABLE users (
	name VARCHAR(63) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	commitment VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (name), 
	CONSTRAINT ck_users_role CHECK (role IN ('researcher', 'admin', 'dpo'))
);
INSERT INTO "users" VALUES('admin','admin','3df7645269d1a6f93ee423bcb575bc4bd8c107d8691857465c134e57918bdb5e','2026-11-29T01:19:16.507Z');
INSERT INTO "users" VALUES('dora','dpo','8628245d18fc4d53cfd8626ac168dd223d56cf4cbbbb9f6e1bc1438a0cd882fa','2026-11-29T01:19:19.157Z');
INSERT INTO "users" VALUES('ada','researcher','3c1491b73cf776f4b1197d3fbbe7e6de240ba20ad9b1ba18f0ac1d15ce28192a','2026-11-29T01:19:21.503Z');
INSERT INTO "users" VALUES('ben','researcher','2a5452b753354bf0acb83014ba40cb22eacc781fe6e3d428449508a5a1d5c5ef','2026-11-29T01:19:23.747Z');
CREATE INDEX ix_charges_study ON charges (study, dataset, edition, fingerprint);
CREATE INDEX ix_charges_last ON charges (study, kind, at);
CREATE INDEX ix_releases_page ON releases (study, charged_at, id);
CREATE INDEX ix_profile_charges_dataset ON profile_charges (dataset, edition, fingerprint);
CREATE INDEX ix_audit_entries_at ON audit_entries (at, position);
CREATE INDEX ix_audit_entries_actor ON audit_entries (actor, position);
CREATE INDEX ix_audit_entries_action ON audit_entries (action, position);
CREATE INDEX ix_audit_entries_study ON audit_entries (study, position);
CREATE INDEX ix_identities_name ON identities (name);
CREATE INDEX ix_users_commitment ON users (commitment);
COMMIT;
