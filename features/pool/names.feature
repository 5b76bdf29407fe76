Feature: What each VM of a pool has for itself
  DataVolumes always; ConfigMaps and secrets where the pool says so.

  Background:
    Given a cluster with 1 node

  Scenario: DataVolumes carry the ordinal
    When the client posts:
      """
      {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "metadata": {"name": "db"},
       "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "virtualMachineTemplate": {
         "metadata": {"labels": {"app": "db"}}, "spec": {"runStrategy": "Always",
           "dataVolumeTemplates": [{"metadata": {"name": "root"}, "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}}],
           "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]}},
             "volumes": [{"name": "root", "dataVolume": {"name": "root"}}]}}}}}}
      """
    Then the pool "db" has 2 replicas, 2 ready
    And the VM "db-1" has "root-1" in spec/dataVolumeTemplates/0/metadata/name
    And the VM "db-1" has "root-1" in spec/template/spec/volumes/0/dataVolume/name
    And the DataVolume "root-1" is owned by the VM "db-1"

  Scenario Outline: ConfigMaps and secrets: <naming>
    When the client posts:
      """
      {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "metadata": {"name": "db"},
       "spec": {"replicas": 1, "nameGeneration": <naming>, "selector": {"matchLabels": {"app": "db"}}, "virtualMachineTemplate": {
         "metadata": {"labels": {"app": "db"}}, "spec": {"runStrategy": "Halted",
           "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {
               "disks": [{"name": "map", "disk": {}}, {"name": "secret", "disk": {}}, {"name": "init", "disk": {}}]}},
             "volumes": [{"name": "map", "configMap": {"name": "settings"}}, {"name": "secret", "secret": {"secretName": "key"}},
                         {"name": "init", "cloudInitNoCloud": {"secretRef": {"name": "user"}, "networkDataSecretRef": {"name": "net"}}}]}}}}}}
      """
    Then the VM "db-0" has "<map>" in spec/template/spec/volumes/0/configMap/name
    And the VM "db-0" has "<secret>" in spec/template/spec/volumes/1/secret/secretName
    And the VM "db-0" has "<user>" in spec/template/spec/volumes/2/cloudInitNoCloud/secretRef/name
    And the VM "db-0" has "<net>" in spec/template/spec/volumes/2/cloudInitNoCloud/networkDataSecretRef/name

    Examples:
      | naming                               | map        | secret | user   | net   |
      | {}                                   | settings   | key    | user   | net   |
      | {"appendIndexToConfigMapRefs": true} | settings-0 | key    | user   | net   |
      | {"appendIndexToSecretRefs": true}    | settings   | key-0  | user-0 | net-0 |

  Scenario Outline: What becomes of the storage of a VM that leaves: <preservation>
    When the client posts:
      """
      {"apiVersion": "pool.kubevirt.io/v1beta1", "kind": "VirtualMachinePool", "metadata": {"name": "db"},
       "spec": {"replicas": 2, "scaleInStrategy": {"proactive": {"statePreservation": "<preservation>", "selectionPolicy": {"sortPolicy": "DescendingOrder"}}},
         "selector": {"matchLabels": {"app": "db"}}, "virtualMachineTemplate": {
         "metadata": {"labels": {"app": "db"}}, "spec": {"runStrategy": "Always",
           "dataVolumeTemplates": [{"metadata": {"name": "root"}, "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}}],
           "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]}},
             "volumes": [{"name": "root", "dataVolume": {"name": "root"}}]}}}}}}
      """
    And the pool "db" has 2 replicas, 2 ready
    And the client scales the pool "db" to 1
    Then the VM "db-1" is gone
    And the DataVolume "root-1" <outcome>
    And the pool "db" has 1 replica, 1 ready
    When the client scales the pool "db" to 2
    Then the pool "db" has 2 replicas, 2 ready
    And the DataVolume "root-1" is owned by the VM "db-1"

    Examples:
      | preservation | outcome      |
      | Disabled     | is gone      |
      | Offline      | has no owner |
      | Online       | has no owner |
