"""The node tags that an analysed tree may hold, and the fields of each that we know.

For: refusing by name whatever a server prints that was never learnt.
Not for: what the fields mean (`analysis`).
Source: PostgreSQL 14 to 18, outfuncs.c and the node headers; older versions print some tags in a short form.
"""

from __future__ import annotations

_FIELDS: dict[str, str] = {
    "QUERY": (
        "commandType querySource canSetTag utilityStmt resultRelation hasAggs hasWindowFuncs hasTargetSRFs "
        "hasSubLinks hasDistinctOn hasRecursive hasModifyingCTE hasForUpdate hasRowSecurity hasGroupRTE isReturn "
        "cteList rtable rteperminfos jointree mergeActionList mergeTargetRelation mergeJoinCondition "
        "mergeUseOuterJoin targetList override onConflict returningOldAlias returningNewAlias returningList "
        "groupClause groupDistinct groupingSets havingQual windowClause distinctClause sortClause limitOffset "
        "limitCount limitOption rowMarks setOperations constraintDeps withCheckOptions stmt_location stmt_len "
        "queryId"
    ),
    "RANGETBLENTRY": (
        "alias eref rtekind relid inh relkind rellockmode perminfoindex tablesample subquery security_barrier "
        "jointype joinmergedcols joinaliasvars joinleftcols joinrightcols join_using_alias functions "
        "funcordinality tablefunc values_lists ctename ctelevelsup self_reference coltypes coltypmods "
        "colcollations enrname enrtuples groupexprs lateral inFromCl requiredPerms checkAsUser selectedCols "
        "insertedCols updatedCols extraUpdatedCols securityQuals"
    ),
    "RTEPERMISSIONINFO": "relid inh requiredPerms checkAsUser selectedCols insertedCols updatedCols",
    "ALIAS": "aliasname colnames",
    "RANGETBLFUNCTION": ("funcexpr funccolcount funccolnames funccoltypes funccoltypmods funccolcollations funcparams"),
    "TABLESAMPLECLAUSE": "tsmhandler args repeatable",
    "TABLEFUNC": (
        "functype ns_uris ns_names docexpr rowexpr colnames coltypes coltypmods colcollations colexprs coldefexprs "
        "colvalexprs passingvalexprs notnulls plan ordinalitycol location"
    ),
    "FROMEXPR": "fromlist quals",
    "JOINEXPR": "jointype isNatural larg rarg usingClause join_using_alias quals alias rtindex",
    "RANGETBLREF": "rtindex",
    "TARGETENTRY": "expr resno resname ressortgroupref resorigtbl resorigcol resjunk",
    "SORTGROUPCLAUSE": "tleSortGroupRef eqop sortop reverse_sort nulls_first hashable",
    "GROUPINGSET": "kind content location",
    "WINDOWCLAUSE": (
        "name refname partitionClause orderClause frameOptions startOffset endOffset startInRangeFunc "
        "endInRangeFunc inRangeColl inRangeAsc inRangeNullsFirst winref copiedOrder runCondition"
    ),
    "ROWMARKCLAUSE": "rti strength waitPolicy pushedDown",
    "WITHCHECKOPTION": "kind relname polname qual cascaded",
    "SETOPERATIONSTMT": "op all larg rarg colTypes colTypmods colCollations groupClauses",
    "COMMONTABLEEXPR": (
        "ctename aliascolnames ctematerialized ctequery search_clause cycle_clause location cterecursive "
        "cterefcount ctecolnames ctecoltypes ctecoltypmods ctecolcollations"
    ),
    "CTESEARCHCLAUSE": "search_col_list search_breadth_first search_seq_column location",
    "CTECYCLECLAUSE": (
        "cycle_col_list cycle_mark_column cycle_mark_value cycle_mark_default cycle_path_column location "
        "cycle_mark_type cycle_mark_typmod cycle_mark_collation cycle_mark_neop"
    ),
    "ONCONFLICTEXPR": (
        "action arbiterElems arbiterWhere constraint onConflictSet onConflictWhere exclRelIndex exclRelTlist"
    ),
    "INFERENCEELEM": "expr infercollid inferopclass",
    "MERGEACTION": "matched matchKind commandType override qual targetList updateColnos",
    "VAR": (
        "varno varattno vartype vartypmod varcollid varnullingrels varlevelsup varreturningtype varnosyn "
        "varattnosyn location"
    ),
    "CONST": "consttype consttypmod constcollid constlen constbyval constisnull location constvalue",
    "PARAM": "paramkind paramid paramtype paramtypmod paramcollid location",
    "AGGREF": (
        "aggfnoid aggtype aggcollid inputcollid aggtranstype aggargtypes aggdirectargs args aggorder aggdistinct "
        "aggfilter aggstar aggvariadic aggkind aggpresorted agglevelsup aggsplit aggno aggtransno location"
    ),
    "GROUPINGFUNC": "args refs cols agglevelsup location",
    "WINDOWFUNC": ("winfnoid wintype wincollid inputcollid args aggfilter runCondition winref winstar winagg location"),
    "SUBSCRIPTINGREF": (
        "refcontainertype refelemtype refrestype reftypmod refcollid refupperindexpr reflowerindexpr refexpr "
        "refassgnexpr"
    ),
    "FUNCEXPR": ("funcid funcresulttype funcretset funcvariadic funcformat funccollid inputcollid args location"),
    "NAMEDARGEXPR": "arg name argnumber location",
    "OPEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args location",
    "DISTINCTEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args location",
    "NULLIFEXPR": "opno opfuncid opresulttype opretset opcollid inputcollid args location",
    "SCALARARRAYOPEXPR": "opno opfuncid hashfuncid negfuncid useOr inputcollid args location",
    "BOOLEXPR": "boolop args location",
    "SUBLINK": "subLinkType subLinkId testexpr operName subselect location",
    "FIELDSELECT": "arg fieldnum resulttype resulttypmod resultcollid",
    "FIELDSTORE": "arg newvals fieldnums resulttype",
    "RELABELTYPE": "arg resulttype resulttypmod resultcollid relabelformat location",
    "COERCEVIAIO": "arg resulttype resultcollid coerceformat location",
    "ARRAYCOERCEEXPR": "arg elemexpr resulttype resulttypmod resultcollid coerceformat location",
    "CONVERTROWTYPEEXPR": "arg resulttype convertformat location",
    "COLLATEEXPR": "arg collOid location",
    "CASEEXPR": "casetype casecollid arg args defresult location",
    "CASEWHEN": "expr result location",
    "CASETESTEXPR": "typeId typeMod collation",
    "ARRAYEXPR": "array_typeid array_collid element_typeid elements multidims list_start list_end location",
    "ROWEXPR": "args row_typeid row_format colnames location",
    "ROWCOMPAREEXPR": "cmptype rctype opnos opfamilies inputcollids largs rargs",
    "COALESCEEXPR": "coalescetype coalescecollid args location",
    "MINMAXEXPR": "minmaxtype minmaxcollid inputcollid op args location",
    "SQLVALUEFUNCTION": "op type typmod location",
    "XMLEXPR": "op name named_args arg_names args xmloption indent type typmod location",
    "NULLTEST": "arg nulltesttype argisrow location",
    "BOOLEANTEST": "arg booltesttype location",
    "MERGESUPPORTFUNC": "msftype msfcollid location",
    "RETURNINGEXPR": "retlevelsup retold retexpr",
    "COERCETODOMAIN": "arg resulttype resulttypmod resultcollid coercionformat location",
    "COERCETODOMAINVALUE": "typeId typeMod collation location",
    "SETTODEFAULT": "typeId typeMod collation location",
    "CURRENTOFEXPR": "cvarno cursor_name cursor_param",
    "NEXTVALUEEXPR": "seqid typeId",
    "JSONFORMAT": "format_type encoding location",
    "JSONRETURNING": "format typid typmod",
    "JSONVALUEEXPR": "raw_expr formatted_expr format",
    "JSONCONSTRUCTOREXPR": "type args func coercion returning absent_on_null unique location",
    "JSONISPREDICATE": "expr format item_type unique_keys location",
    "JSONBEHAVIOR": "btype expr coerce location",
    "JSONEXPR": (
        "op column_name formatted_expr format path_spec returning passing_names passing_values on_empty on_error "
        "use_io_coercion use_json_coercion wrapper omit_quotes collation location"
    ),
    "JSONTABLEPATH": "value name",
    "JSONTABLEPATHSCAN": "plan path errorOnError child colMin colMax",
    "JSONTABLESIBLINGJOIN": "plan lplan rplan",
}

SHORT_TAGS: dict[str, str] = {
    "CASE": "CASEEXPR", "WHEN": "CASEWHEN", "ARRAY": "ARRAYEXPR", "ROW": "ROWEXPR", "ROWCOMPARE": "ROWCOMPAREEXPR",
    "COALESCE": "COALESCEEXPR", "MINMAX": "MINMAXEXPR", "COLLATE": "COLLATEEXPR", "RTE": "RANGETBLENTRY",
}  # fmt: skip
"""Tags that older versions shorten, and their full names."""

FIELDS: dict[str, frozenset[str]] = {tag: frozenset(names.split()) for tag, names in _FIELDS.items()}
FIELDS.update({short: FIELDS[tag] for short, tag in SHORT_TAGS.items()})
"""Tag to its known fields; an unknown field is tolerated only while its value says nothing."""
