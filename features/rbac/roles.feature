Feature: What view, edit and admin may
  KubeVirt's roles become part of the cluster's own: whoever may look at a namespace, change it or administer it may do the same with
  the machines in it. To move machines between nodes is the cluster's business, and a role of its own.

  Scenario: Every right of every role
    Given a cluster with 1 node
    And the user "viewer" with the cluster role "view"
    And the user "editor" with the cluster role "edit"
    And the user "admin" with the cluster role "admin"
    And the user "mover" with the cluster role "kubevirt.io:migrate"
    Then these users may ask for:
      | verb             | resource                                                                    | viewer | editor | admin | mover |
      | get              | virtualmachineinstances/console.subresources.kubevirt.io                    | -      | yes    | yes   | -     |
      | get              | virtualmachineinstances/vnc.subresources.kubevirt.io                        | -      | yes    | yes   | -     |
      | get              | virtualmachineinstances/portforward.subresources.kubevirt.io                | -      | yes    | yes   | -     |
      | get              | virtualmachineinstances/usbredir.subresources.kubevirt.io                   | -      | yes    | yes   | -     |
      | get              | virtualmachineinstances/vnc/screenshot.subresources.kubevirt.io             | -      | -      | yes   | -     |
      | get              | virtualmachineinstances/guestosinfo.subresources.kubevirt.io                | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/filesystemlist.subresources.kubevirt.io             | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/userlist.subresources.kubevirt.io                   | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/sev/fetchcertchain.subresources.kubevirt.io         | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/sev/querylaunchmeasurement.subresources.kubevirt.io | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/objectgraph.subresources.kubevirt.io                | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/domainstate.subresources.kubevirt.io                | yes    | yes    | yes   | -     |
      | update           | virtualmachineinstances/pause.subresources.kubevirt.io                      | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/unpause.subresources.kubevirt.io                    | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/addvolume.subresources.kubevirt.io                  | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/removevolume.subresources.kubevirt.io               | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/freeze.subresources.kubevirt.io                     | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/unfreeze.subresources.kubevirt.io                   | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/softreboot.subresources.kubevirt.io                 | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/reset.subresources.kubevirt.io                      | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/sev/setupsession.subresources.kubevirt.io           | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/sev/injectlaunchsecret.subresources.kubevirt.io     | -      | yes    | yes   | -     |
      | update           | virtualmachineinstances/evacuate/cancel.subresources.kubevirt.io            | -      | yes    | yes   | -     |
      | get              | virtualmachines/expand-spec.subresources.kubevirt.io                        | yes    | yes    | yes   | -     |
      | get              | virtualmachines/objectgraph.subresources.kubevirt.io                        | yes    | yes    | yes   | -     |
      | get              | virtualmachines/portforward.subresources.kubevirt.io                        | -      | yes    | yes   | -     |
      | update           | virtualmachines/start.subresources.kubevirt.io                              | -      | yes    | yes   | -     |
      | update           | virtualmachines/stop.subresources.kubevirt.io                               | -      | yes    | yes   | -     |
      | update           | virtualmachines/restart.subresources.kubevirt.io                            | -      | yes    | yes   | -     |
      | update           | virtualmachines/addvolume.subresources.kubevirt.io                          | -      | yes    | yes   | -     |
      | update           | virtualmachines/removevolume.subresources.kubevirt.io                       | -      | yes    | yes   | -     |
      | update           | virtualmachines/memorydump.subresources.kubevirt.io                         | -      | yes    | yes   | -     |
      | update           | virtualmachines/removememorydump.subresources.kubevirt.io                   | -      | yes    | yes   | -     |
      | update           | virtualmachines/evacuate/cancel.subresources.kubevirt.io                    | -      | yes    | yes   | -     |
      | update           | virtualmachines/migrate.subresources.kubevirt.io                            | -      | -      | -     | yes   |
      | update           | expand-vm-spec.subresources.kubevirt.io                                     | yes    | yes    | yes   | -     |
      | get              | virtualmachineinstances/vsock.subresources.kubevirt.io                      | -      | -      | -     | -     |
      | update           | virtualmachineinstances/backup.subresources.kubevirt.io                     | -      | -      | -     | -     |
      | update           | virtualmachineinstances/redefine-checkpoint.subresources.kubevirt.io        | -      | -      | -     | -     |
      | list             | virtualmachines.kubevirt.io                                                 | yes    | yes    | yes   | -     |
      | create           | virtualmachines.kubevirt.io                                                 | -      | yes    | yes   | -     |
      | patch            | virtualmachines.kubevirt.io                                                 | -      | yes    | yes   | -     |
      | delete           | virtualmachines.kubevirt.io                                                 | -      | yes    | yes   | -     |
      | deletecollection | virtualmachines.kubevirt.io                                                 | -      | -      | yes   | -     |
      | list             | virtualmachineinstances.kubevirt.io                                         | yes    | yes    | yes   | -     |
      | create           | virtualmachineinstances.kubevirt.io                                         | -      | yes    | yes   | -     |
      | patch            | virtualmachineinstances.kubevirt.io                                         | -      | yes    | yes   | -     |
      | delete           | virtualmachineinstances.kubevirt.io                                         | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineinstances.kubevirt.io                                         | -      | -      | yes   | -     |
      | list             | virtualmachineinstancepresets.kubevirt.io                                   | yes    | yes    | yes   | -     |
      | create           | virtualmachineinstancepresets.kubevirt.io                                   | -      | yes    | yes   | -     |
      | patch            | virtualmachineinstancepresets.kubevirt.io                                   | -      | yes    | yes   | -     |
      | delete           | virtualmachineinstancepresets.kubevirt.io                                   | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineinstancepresets.kubevirt.io                                   | -      | -      | yes   | -     |
      | list             | virtualmachineinstancereplicasets.kubevirt.io                               | yes    | yes    | yes   | -     |
      | create           | virtualmachineinstancereplicasets.kubevirt.io                               | -      | yes    | yes   | -     |
      | patch            | virtualmachineinstancereplicasets.kubevirt.io                               | -      | yes    | yes   | -     |
      | delete           | virtualmachineinstancereplicasets.kubevirt.io                               | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineinstancereplicasets.kubevirt.io                               | -      | -      | yes   | -     |
      | list             | virtualmachinesnapshots.snapshot.kubevirt.io                                | yes    | yes    | yes   | -     |
      | create           | virtualmachinesnapshots.snapshot.kubevirt.io                                | -      | yes    | yes   | -     |
      | patch            | virtualmachinesnapshots.snapshot.kubevirt.io                                | -      | yes    | yes   | -     |
      | delete           | virtualmachinesnapshots.snapshot.kubevirt.io                                | -      | yes    | yes   | -     |
      | deletecollection | virtualmachinesnapshots.snapshot.kubevirt.io                                | -      | -      | yes   | -     |
      | list             | virtualmachinerestores.snapshot.kubevirt.io                                 | yes    | yes    | yes   | -     |
      | create           | virtualmachinerestores.snapshot.kubevirt.io                                 | -      | yes    | yes   | -     |
      | patch            | virtualmachinerestores.snapshot.kubevirt.io                                 | -      | yes    | yes   | -     |
      | delete           | virtualmachinerestores.snapshot.kubevirt.io                                 | -      | yes    | yes   | -     |
      | deletecollection | virtualmachinerestores.snapshot.kubevirt.io                                 | -      | -      | yes   | -     |
      | list             | virtualmachineexports.export.kubevirt.io                                    | yes    | yes    | yes   | -     |
      | create           | virtualmachineexports.export.kubevirt.io                                    | -      | yes    | yes   | -     |
      | patch            | virtualmachineexports.export.kubevirt.io                                    | -      | yes    | yes   | -     |
      | delete           | virtualmachineexports.export.kubevirt.io                                    | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineexports.export.kubevirt.io                                    | -      | -      | yes   | -     |
      | list             | virtualmachineclones.clone.kubevirt.io                                      | yes    | yes    | yes   | -     |
      | create           | virtualmachineclones.clone.kubevirt.io                                      | -      | yes    | yes   | -     |
      | patch            | virtualmachineclones.clone.kubevirt.io                                      | -      | yes    | yes   | -     |
      | delete           | virtualmachineclones.clone.kubevirt.io                                      | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineclones.clone.kubevirt.io                                      | -      | -      | yes   | -     |
      | list             | virtualmachinebackups.backup.kubevirt.io                                    | yes    | yes    | yes   | -     |
      | create           | virtualmachinebackups.backup.kubevirt.io                                    | -      | yes    | yes   | -     |
      | patch            | virtualmachinebackups.backup.kubevirt.io                                    | -      | yes    | yes   | -     |
      | delete           | virtualmachinebackups.backup.kubevirt.io                                    | -      | yes    | yes   | -     |
      | deletecollection | virtualmachinebackups.backup.kubevirt.io                                    | -      | -      | yes   | -     |
      | list             | virtualmachineinstancetypes.instancetype.kubevirt.io                        | yes    | yes    | yes   | -     |
      | create           | virtualmachineinstancetypes.instancetype.kubevirt.io                        | -      | yes    | yes   | -     |
      | patch            | virtualmachineinstancetypes.instancetype.kubevirt.io                        | -      | yes    | yes   | -     |
      | delete           | virtualmachineinstancetypes.instancetype.kubevirt.io                        | -      | yes    | yes   | -     |
      | deletecollection | virtualmachineinstancetypes.instancetype.kubevirt.io                        | -      | -      | yes   | -     |
      | list             | virtualmachinepreferences.instancetype.kubevirt.io                          | yes    | yes    | yes   | -     |
      | create           | virtualmachinepreferences.instancetype.kubevirt.io                          | -      | yes    | yes   | -     |
      | patch            | virtualmachinepreferences.instancetype.kubevirt.io                          | -      | yes    | yes   | -     |
      | delete           | virtualmachinepreferences.instancetype.kubevirt.io                          | -      | yes    | yes   | -     |
      | deletecollection | virtualmachinepreferences.instancetype.kubevirt.io                          | -      | -      | yes   | -     |
      | list             | virtualmachinepools.pool.kubevirt.io                                        | yes    | yes    | yes   | -     |
      | create           | virtualmachinepools.pool.kubevirt.io                                        | -      | yes    | yes   | -     |
      | patch            | virtualmachinepools.pool.kubevirt.io                                        | -      | yes    | yes   | -     |
      | delete           | virtualmachinepools.pool.kubevirt.io                                        | -      | yes    | yes   | -     |
      | deletecollection | virtualmachinepools.pool.kubevirt.io                                        | -      | -      | yes   | -     |
      | watch            | virtualmachineinstancemigrations.kubevirt.io                                | yes    | yes    | yes   | yes   |
      | create           | virtualmachineinstancemigrations.kubevirt.io                                | -      | -      | -     | yes   |
      | delete           | virtualmachineinstancemigrations.kubevirt.io                                | -      | -      | -     | yes   |
      | list             | plugins.plugin.kubevirt.io                                                  | yes    | yes    | yes   | -     |
      | create           | plugins.plugin.kubevirt.io                                                  | -      | -      | yes   | -     |
      | list             | migrationpolicies.migrations.kubevirt.io                                    | yes    | yes    | yes   | -     |
      | create           | migrationpolicies.migrations.kubevirt.io                                    | -      | -      | -     | -     |
      | get              | kubevirts.kubevirt.io                                                       | yes    | yes    | yes   | yes   |
      | patch            | kubevirts.kubevirt.io                                                       | -      | -      | yes   | -     |
      | get              | version.subresources.kubevirt.io                                            | yes    | yes    | yes   | yes   |
      | get              | guestfs.subresources.kubevirt.io                                            | yes    | yes    | yes   | yes   |
      | get              | virtualmachineclusterinstancetypes.instancetype.kubevirt.io                 | yes    | yes    | yes   | yes   |
      | create           | uploadtokenrequests.upload.cdi.kubevirt.io                                  | -      | yes    | yes   | -     |
      | get              | secrets                                                                     | -      | yes    | yes   | -     |

  Scenario: Somebody without any role
    Given a cluster with 1 node
    Then these users may ask for:
      | verb | resource                                                      | stranger |
      | get  | version.subresources.kubevirt.io                              | yes      |
      | get  | guestfs.subresources.kubevirt.io                              | yes      |
      | get  | kubevirts.kubevirt.io                                         | yes      |
      | list | virtualmachineclusterpreferences.instancetype.kubevirt.io     | yes      |
      | get  | cdiconfigs.cdi.kubevirt.io                                    | yes      |
      | list | virtualmachines.kubevirt.io                                   | -        |
      | get  | virtualmachineinstances/guestosinfo.subresources.kubevirt.io  | -        |
      | update | expand-vm-spec.subresources.kubevirt.io                     | -        |

  Scenario Outline: <user> works with a machine
    Given a cluster with 1 node
    And the user "<user>" with the cluster role "<role>"
    When the client creates the VM "testvm" with run strategy "Manual"
    And the user runs "virtctl start testvm --as=<user>"
    Then virtctl <start>
    When the user runs "virtctl guestosinfo testvm --as=<user>"
    Then virtctl <look>
    When the user runs "virtctl migrate testvm --as=<user>"
    Then virtctl <migrate>

    Examples:
      | user   | role                | start                                                          | look                                                              | migrate                                                          |
      | viewer | view                | fails with "cannot update resource "virtualmachines/start""    | fails with "virtualmachineinstance.kubevirt.io "testvm" not found" | fails with "cannot update resource "virtualmachines/migrate""   |
      | editor | edit                | prints "VM testvm was scheduled to start"                      | fails with "VMI"                                                  | fails with "cannot update resource "virtualmachines/migrate""    |
      | mover  | kubevirt.io:migrate | fails with "cannot update resource "virtualmachines/start""    | fails with "cannot get resource "virtualmachineinstances/guestosinfo"" | fails with "virtualmachineinstance.kubevirt.io "testvm" not found" |
