Feature: A node that is taken over is one node lost
  virt-handler runs on every node with the same rights. A policy of the installation bounds what it may do with them: it may write
  what is KubeVirt's, on the node it runs on.

  Scenario: virt-handler labels its own node
    Given a cluster with 2 nodes
    Then virt-handler of "node01" may patch the node "node01" with {"metadata": {"labels": {"kubevirt.io/schedulable": "true", "cpumanager": "true"}}}
    And virt-handler of "node01" may patch the node "node01" with {"metadata": {"annotations": {"kubevirt.io/heartbeat": "now"}}}

  Scenario Outline: virt-handler may not <do>
    Given a cluster with 2 nodes
    Then virt-handler of "node01" may not patch the node "<node>" with <patch>
    And the refusal says "<words>"

    Examples:
      | do                            | node   | patch                                                        | words                                                       |
      | touch another node            | node02 | {"metadata": {"labels": {"kubevirt.io/schedulable": "no"}}}  | this user cannot modify this node                           |
      | let nothing be scheduled      | node01 | {"spec": {"unschedulable": true}}                            | this user cannot modify spec of node                        |
      | keep a node from being removed | node01 | {"metadata": {"finalizers": ["example.org/mine"]}}          | this user can only change allowed metadata fields           |
      | attract pods by a label       | node01 | {"metadata": {"labels": {"example.org/gpu": "yes"}}}         | this user cannot add/delete non kubevirt-owned labels       |
      | remove another's label        | node01 | {"metadata": {"labels": {"kubernetes.io/arch": null}}}       | this user cannot add/delete non kubevirt-owned labels       |
      | change another's label        | node01 | {"metadata": {"labels": {"kubernetes.io/arch": "arm64"}}}    | this user cannot update non kubevirt-owned labels           |
      | add another's annotation      | node01 | {"metadata": {"annotations": {"example.org/x": "y"}}}        | this user cannot add/delete non kubevirt-owned annotations  |
