// A whole job with the JavaScript client: objects, an informer, patches, custom resources, logs.
const assert = require('node:assert');
const k8s = require('@kubernetes/client-node');

const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const definitions = config.makeApiClient(k8s.ApiextensionsV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const namespace = 'javascript';

const fails = (code, promise) => assert.rejects(promise, (error) => error.code === code);

/** Calls `check` on each event of an informer until it is true. */
function until(informer, check) {
  return new Promise((resolve, reject) => {
    for (const kind of ['add', 'update', 'delete']) {
      informer.on(kind, (object) => check(kind, object) && resolve(object));
    }
    informer.on('error', reject);
  });
}

async function typedObjects() {
  await core.createNamespace({ body: { metadata: { name: namespace } } });
  const body = { metadata: { name: 'zoo' }, data: { cat: 'tiger' } };
  const made = await core.createNamespacedConfigMap({ namespace, body });
  assert.ok(made.metadata.creationTimestamp instanceof Date);
  await fails(409, core.createNamespacedConfigMap({ namespace, body }));
  made.data.cat = 'lion';
  await core.replaceNamespacedConfigMap({ namespace, name: 'zoo', body: made });
  await fails(409, core.replaceNamespacedConfigMap({ namespace, name: 'zoo', body: made }));
  await fails(404, core.readNamespacedConfigMap({ namespace, name: 'none' }));
  const list = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=zoo' });
  assert.deepStrictEqual(list.items.map((item) => item.data), [{ cat: 'lion' }]);
}

async function patches() {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'zoo', namespace } };
  const patch = (body, type, force) => objects.patch({ ...object, ...body }, undefined, undefined, 'script', force, type);
  const type = k8s.PatchStrategy;
  const merged = await patch({ data: { dog: 'wolf' } }, type.MergePatch);
  assert.deepStrictEqual({ ...merged.data }, { cat: 'lion', dog: 'wolf' });
  const strategic = await patch({ data: { dog: null } }, type.StrategicMergePatch);
  assert.deepStrictEqual({ ...strategic.data }, { cat: 'lion' });
  await fails(409, patch({ data: { cat: 'puma' } }, type.ServerSideApply));
  const applied = await patch({ data: { cat: 'puma' } }, type.ServerSideApply, true);
  assert.deepStrictEqual({ ...applied.data }, { cat: 'puma' });
  const operations = [{ op: 'replace', path: '/data/cat', value: 'lynx' }];
  const headers = k8s.setHeaderOptions('Content-Type', type.JsonPatch);
  const changed = await core.patchNamespacedConfigMap({ namespace, name: 'zoo', body: operations }, headers);
  assert.deepStrictEqual({ ...changed.data }, { cat: 'lynx' });
}

async function informer() {
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  const informer = k8s.makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace }));
  const seen = [];
  const done = until(informer, (kind, object) => {
    seen.push(`${kind} ${object.metadata.name}`);
    return kind === 'delete';
  });
  await informer.start();
  await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'late' } } });
  await core.deleteNamespacedConfigMap({ namespace, name: 'late' });
  await done;
  await informer.stop();
  assert.deepStrictEqual(seen.filter((line) => line.endsWith(' late')), ['add late', 'delete late']);
  assert.ok(seen.includes('add zoo'));
}

async function customResources() {
  const group = 'script.example.dev';
  const schema = { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer', _default: 1 } } } } };
  const versions = [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }];
  const names = { plural: 'toys', singular: 'toy', kind: 'Toy' };
  const name = `toys.${group}`;
  await definitions.createCustomResourceDefinition({ body: { metadata: { name }, spec: { group, scope: 'Namespaced', names, versions } } });
  const watched = k8s.makeInformer(config, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', () => definitions.listCustomResourceDefinition());
  const established = until(watched, (_, object) =>
    object.metadata.name === name && (object.status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True'));
  await watched.start();
  await established;
  await watched.stop();
  const toy = { apiVersion: `${group}/v1`, kind: 'Toy', metadata: { name: 'ball' }, spec: {} };
  const made = await custom.createNamespacedCustomObject({ group, version: 'v1', namespace, plural: 'toys', body: toy });
  assert.deepStrictEqual(made.spec, { size: 1 });
  await fails(422, custom.createNamespacedCustomObject({ group, version: 'v1', namespace, plural: 'toys', body: { ...toy, metadata: { name: 'bad' }, spec: { size: 'big' } } }));
  await custom.deleteNamespacedCustomObject({ group, version: 'v1', namespace, plural: 'toys', name: 'ball' });
  await definitions.deleteCustomResourceDefinition({ name });
}

async function pods() {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const informer = k8s.makeInformer(config, path, () => core.listNamespacedPod({ namespace }));
  const running = until(informer, (_, pod) => pod.status?.phase === 'Running');
  await informer.start();
  await objects.create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'lone', namespace }, spec: { containers: [{ name: 'c', image: 'registry.example/c' }] } });
  await running;
  await informer.stop();
  assert.strictEqual(typeof (await core.readNamespacedPodLog({ namespace, name: 'lone' }) ?? ''), 'string');
  const refused = new k8s.Exec(config).exec(namespace, 'lone', 'c', ['true'], process.stdout, process.stderr, null, false);
  await assert.rejects(refused, (error) => error.message.includes('501'));
}

async function main() {
  await typedObjects();
  await patches();
  await informer();
  await customResources();
  await pods();
  await core.deleteNamespace({ name: namespace });
  console.log('all done');
}

main().then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
